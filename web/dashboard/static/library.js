// Loads a library for drawings, if the server has it, when the first drawing wants it.

/** Return a function that loads the library whose address is in a meta element of this name, once,
 *  and resolves to whether it is there. */
export function library(name) {
  const address = document.querySelector(`meta[name="${name}"]`)?.content;
  let loading = null;
  return () => {
    loading ??= !address ? Promise.resolve(false) : new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = () => resolve(true);
      script.onerror = () => resolve(false);
      document.head.append(script);
    });
    return loading;
  };
}
