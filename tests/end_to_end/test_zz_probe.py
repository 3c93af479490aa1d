from tests.end_to_end.test_official_telemetry import told  # noqa
import json
def test_dump(told):
    open('/tmp/wt7_dump.json','w').write(json.dumps(told.items, indent=1))
    open('/tmp/wt7_worker.json','w').write(json.dumps(told.worker))
