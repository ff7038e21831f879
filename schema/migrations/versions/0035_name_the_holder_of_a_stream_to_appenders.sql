GRANT EXECUTE ON FUNCTION append_evidence() TO qforge_appender;
GRANT EXECUTE ON FUNCTION append_evidence() TO qforge_worker;
