// Drives a server by npm's @supabase/supabase-js; test_supabase_js.py runs it.
// Reads JSON from standard input: url, key, email, password, id (of the user), modules (a folder).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const given = JSON.parse(readFileSync(0, "utf8"));
const { createClient } = createRequire(`${given.modules}/`)("@supabase/supabase-js");
const client = createClient(given.url, given.key, {
  auth: { autoRefreshToken: false },
  realtime: { transport: class {} }, // never opened; node before 22 has no WebSocket of its own
});

// The data of a reply that must not be an error.
async function data(request) {
  const reply = await request;
  assert.equal(reply.error, null, JSON.stringify(reply.error));
  return reply.data;
}

// Waits until rows that were just written can be read: read models follow the log.
async function found(make, count) {
  for (let tries = 0; tries < 400; tries++) {
    const rows = await data(make());
    if (rows.length === count) return rows;
    await sleep(50);
  }
  assert.fail(`${count} rows did not appear`);
}

const cases = {
  async "a key of a viewer writes nothing"() {
    const { error, status } = await client.from("projects").insert({ name: "by a viewer" });
    assert.deepEqual([status, error.code], [403, "42501"]);
  },

  async "a wrong password is an error that the client knows"() {
    const { error } = await client.auth.signInWithPassword({ email: given.email, password: "wrong wrong" });
    assert.deepEqual([error.status, error.code], [400, "invalid_credentials"]);
  },

  async "signs in, and is that user"() {
    const { user, session } = await data(
      client.auth.signInWithPassword({ email: given.email, password: given.password }),
    );
    assert.deepEqual([user.id, user.email, session.token_type], [given.id, given.email, "bearer"]);
    assert.deepEqual((await data(client.auth.getUser())).user, user);
    assert.equal((await data(client.auth.getClaims())).claims.sub, given.id);
    const again = await data(client.auth.refreshSession());
    assert.equal(again.user.id, given.id);
  },

  async "inserts, with the rows and without"() {
    const reply = await client.from("projects").insert({ name: "silent" });
    assert.deepEqual([reply.status, reply.data, reply.error], [201, null, null]);
    const one = await data(client.from("projects").insert({ name: "js one" }).select("id,name,user_id").single());
    assert.deepEqual([one.name, one.user_id], ["js one", given.id]);
    const rows = await client
      .from("projects")
      .insert([{ name: "js two" }, { name: "js three" }], { count: "exact" })
      .select();
    assert.deepEqual([rows.count, rows.data.length], [2, 2]);
    const smiles = ["CCCl", "CCCCl", "CCCCCl"];
    await data(
      client.from("molecules").insert(smiles.map((each, i) => ({ smiles: each, name: `js ${i}`, project_id: one.id }))),
    );
    given.project = one.id;
  },

  async "upserts"() {
    const row = { id: given.project, name: "js one", description: "changed" };
    const changed = await data(client.from("projects").upsert(row).select().single());
    assert.deepEqual([changed.id, changed.description], [given.project, "changed"]);
    const same = { smiles: "CCCl", name: "other" };
    const options = { onConflict: "smiles", ignoreDuplicates: true };
    assert.deepEqual(await data(client.from("molecules").upsert(same, options).select()), []);
  },

  async "selects with related rows, filters, order and pages"() {
    const molecules = () => client.from("molecules").select("smiles").eq("project_id", given.project);
    await found(molecules, 3);
    const nested = () =>
      client
        .from("projects")
        .select("name,owner:user_id,molecules(name,formula)")
        .eq("id", given.project)
        .or("name.eq.js 1,name.eq.js 2", { referencedTable: "molecules" })
        .order("name", { referencedTable: "molecules", ascending: false });
    const [project] = await found(nested, 1);
    assert.deepEqual(project.molecules, [
      { name: "js 2", formula: "C4H9Cl" },
      { name: "js 1", formula: "C3H7Cl" },
    ]);
    const inner = await data(molecules().select("name,projects!inner(name)").eq("projects.name", "js one"));
    assert.equal(inner.length, 3);
    const page = await client
      .from("molecules")
      .select("name", { count: "exact" })
      .in("smiles", ["CCCl", "CCCCl", "CCCCCl", "no,such"])
      .like("name", "js%")
      .not("name", "is", null)
      .order("name")
      .range(1, 1);
    assert.deepEqual([page.status, page.count, page.data], [206, 3, [{ name: "js 1" }]]);
    const counted = await client
      .from("molecules")
      .select("*", { count: "exact", head: true })
      .eq("project_id", given.project);
    assert.deepEqual([counted.count, counted.data], [3, null]);
    const csv = await data(molecules().select("name").order("name").csv());
    assert.deepEqual(csv.trim().split(/\r?\n/), ["name", "js 0", "js 1", "js 2"]);
  },

  async "asks for one row, or for none"() {
    const by = (name) => client.from("molecules").select("name").eq("project_id", given.project).like("name", name);
    assert.deepEqual(await data(by("js 0").single()), { name: "js 0" });
    assert.equal((await by("js%").single()).error.code, "PGRST116");
    assert.equal(await data(by("nothing").maybeSingle()), null);
  },

  async "updates as many rows as it says at most"() {
    const rename = () => client.from("molecules").update({ name: "renamed" }).eq("project_id", given.project);
    const refused = await rename().maxAffected(2);
    assert.deepEqual([refused.status, refused.error.code], [400, "PGRST124"]);
    const kept = await data(client.from("molecules").select("name").eq("name", "renamed"));
    assert.equal(kept.length, 0);
    const tried = await data(rename().maxAffected(3).rollback().select("name"));
    assert.deepEqual(tried, Array(3).fill({ name: "renamed" }));
    const { count } = await client
      .from("molecules")
      .update({ name: "renamed" }, { count: "exact" })
      .eq("project_id", given.project)
      .select();
    assert.equal(count, 3);
  },

  async "deletes"() {
    const gone = await data(client.from("projects").delete().eq("id", given.project).select("id").single());
    assert.equal(gone.id, given.project);
    const reply = await client.from("projects").delete().eq("id", given.project);
    assert.deepEqual([reply.status, reply.error], [204, null]);
    await found(() => client.from("projects").select().eq("id", given.project), 0);
  },

  async "calls actions"() {
    const event = { event_type: "project_created", data: { name: "by rpc" } };
    assert.equal((await data(client.rpc("record", event))).event_type, "project_created");
    const { error, status } = await client.rpc("nothing", {});
    assert.deepEqual([status, error.code], [404, "PGRST202"]);
  },

  async "is told what is wrong"() {
    const table = await client.from("molecule").select();
    assert.deepEqual([table.status, table.error.code], [404, "PGRST205"]);
    assert.match(table.error.hint, /molecules/);
    const column = await client.from("molecules").select("smile");
    assert.deepEqual([column.status, column.error.code], [400, "42703"]);
  },

  async "signs out"() {
    const { session } = await data(client.auth.getSession());
    assert.equal((await client.auth.signOut()).error, null);
    const { error } = await client.auth.getUser(session.access_token);
    assert.deepEqual([error.status, error.code], [401, "bad_jwt"]);
    assert.equal((await client.from("projects").insert({ name: "too late" })).status, 403);
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
  } catch (error) {
    console.error(`${name}: ${error.stack}`);
    process.exit(1);
  }
  console.log(name);
}
process.exit(0);
