REVOKE ALL ON FUNCTION append_evidence() FROM qforge_worker;

REVOKE ALL ON FUNCTION append_evidence() FROM qforge_appender;
