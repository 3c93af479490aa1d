import base64
import signal

from tests.local.host.desk import Desk

ECHO = """
    @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
    def echo(msg: func.QueueMessage) -> None:
        say(msg.get_body().decode(), msg.dequeue_count)
"""

FAIL = """
    @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
    def fail(msg: func.QueueMessage) -> None:
        say("try", msg.dequeue_count)
        raise RuntimeError("not today")
"""

GATED = """
    @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
    def gated(msg: func.QueueMessage) -> None:
        say("begins", msg.get_body().decode(), msg.dequeue_count)
        Path(os.environ["GATE"]).read_text()
        say("ends", msg.get_body().decode())
"""


def test_a_message_is_given_to_its_function_and_deleted(desk: Desk) -> None:
    desk.app(ECHO)
    host = desk.host()
    desk.queue().send_message("hello")
    host.wait_for("^SAYS hello 1$")
    desk.wait_for_length(0)


def test_the_queue_is_created_when_it_is_missing(desk: Desk) -> None:
    desk.app(ECHO)
    desk.host()
    assert desk.length() == 0
    desk.queue().get_queue_properties()


def test_the_sdk_decodes_every_field_of_the_message(desk: Desk) -> None:
    desk.app("""
        @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
        def fields(msg: func.QueueMessage) -> None:
            say(msg.id, msg.get_json()["a"], msg.insertion_time.isoformat(), msg.expiration_time.isoformat())
            say(msg.time_next_visible > msg.insertion_time, bool(msg.pop_receipt))
    """)
    host = desk.host()
    sent = desk.queue().send_message('{"a": 1}')
    host.wait_for("^SAYS True True$")
    assert sent.inserted_on is not None
    assert sent.expires_on is not None
    expected = f"{sent.id} 1 {sent.inserted_on.isoformat()} {sent.expires_on.isoformat()}"
    assert host.said()[0] == expected


def test_a_failing_message_is_tried_until_it_is_poison(desk: Desk) -> None:
    desk.app(FAIL, maxDequeueCount=3)
    desk.make_queue().send_message("sour")
    host = desk.host()
    desk.wait_for_length(1, "-poison")
    desk.wait_for_length(0)
    assert host.said() == ["try 1", "try 2", "try 3"]
    assert desk.peek("-poison") == ["sour"]
    assert "RuntimeError: not today" in host.output
    assert "was taken 3 times; it moves to" in host.output


def test_a_failed_message_stays_hidden_for_the_visibility_timeout(desk: Desk) -> None:
    desk.app(FAIL, visibilityTimeout="01:00:00")
    desk.make_queue().send_message("later")
    host = desk.host()
    host.wait_for("Executed 'fail' \\(Failed")
    assert host.stop() == 0
    assert host.said() == ["try 1"]
    assert desk.length() == 1
    assert desk.peek() == []


def test_a_poison_queue_has_no_poison_queue_of_its_own(desk: Desk) -> None:
    desk.app(FAIL.replace("%QUEUE%", "%QUEUE%-poison"), maxDequeueCount=1)
    host = desk.host()
    desk.queue("-poison").send_message("stays")
    host.wait_for("Executed 'fail' \\(Failed")
    assert host.stop() == 0
    assert desk.length("-poison") == 1
    assert desk.length("-poison-poison") == 0
    assert host.said() == ["try 1"]


def test_a_message_taken_too_often_goes_to_poison_without_a_run(desk: Desk) -> None:
    desk.app(ECHO, maxDequeueCount=1)
    queue = desk.make_queue()
    queue.send_message("worn")
    for _ in range(2):
        message = queue.receive_message(visibility_timeout=30)
        assert message is not None
        queue.update_message(message.id, message.pop_receipt, visibility_timeout=0)
    host = desk.host()
    desk.wait_for_length(1, "-poison")
    assert host.said() == []


def test_base64_is_decoded_when_host_json_says_so(desk: Desk) -> None:
    desk.app(ECHO, messageEncoding="base64")
    desk.make_queue().send_message(base64.b64encode("grüße".encode()).decode())
    desk.host().wait_for("^SAYS grüße 1$")
    desk.wait_for_length(0)


def test_what_is_not_base64_goes_to_poison_as_it_is(desk: Desk) -> None:
    desk.app(ECHO, messageEncoding="base64")
    desk.make_queue().send_message("{not base64}")
    host = desk.host()
    desk.wait_for_length(1, "-poison")
    desk.wait_for_length(0)
    assert desk.peek("-poison") == ["{not base64}"]
    assert host.said() == []


def test_without_an_encoding_base64_is_text_like_any_other(desk: Desk) -> None:
    desk.app(ECHO)
    desk.make_queue().send_message("aGVsbG8=")
    desk.host().wait_for("^SAYS aGVsbG8= 1$")


def test_the_lock_is_renewed_while_the_function_runs(desk: Desk) -> None:
    desk.make_gate()
    desk.app(GATED)
    queue = desk.make_queue()
    queue.send_message("slow")
    host = desk.host("--lock-seconds", "1", "--verbose")
    host.wait_for("SAYS begins slow 1")
    host.wait_for("renewed the lock", times=5)  # two and a half locks long
    desk.open_gate()
    host.wait_for("SAYS ends slow")
    desk.wait_for_length(0)
    assert [line for line in host.said() if line.startswith("begins")] == ["begins slow 1"]


def test_a_message_of_a_killed_host_comes_back_when_its_lock_runs_out(desk: Desk) -> None:
    desk.make_gate()
    desk.app(GATED)
    desk.make_queue().send_message("precious")
    first = desk.host("--lock-seconds", "2")
    first.wait_for("SAYS begins precious 1")
    first.send_signal(signal.SIGKILL)
    assert first.exit_code() == -signal.SIGKILL
    second = desk.host("--lock-seconds", "2")
    second.wait_for("SAYS begins precious 2")
    desk.open_gate()
    desk.wait_for_length(0)


def test_a_message_that_the_function_deletes_itself_is_no_error(desk: Desk) -> None:
    desk.app("""
        from azure.storage.queue import QueueClient

        @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
        def deletes(msg: func.QueueMessage) -> None:
            account, name = os.environ["AzureWebJobsStorage"], os.environ["QUEUE"]
            with QueueClient.from_connection_string(account, name) as queue:
                queue.delete_message(msg.id, msg.pop_receipt)
    """)
    desk.make_queue().send_message("mine")
    host = desk.host("--verbose")
    host.wait_for("someone else has dealt with it")
    assert " ERROR " not in host.output


def test_no_more_run_at_once_than_batch_and_threshold(desk: Desk) -> None:
    desk.make_gate()
    desk.app(
        """
        first = threading.Lock()

        @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
        def count(msg: func.QueueMessage) -> None:
            say("begins")
            if not first.acquire(blocking=False):
                Path(os.environ["GATE"]).read_text()
        """,
        batchSize=2,
        newBatchThreshold=1,
    )
    queue = desk.make_queue()
    for number in range(6):
        queue.send_message(str(number))
    host = desk.host("--lock-seconds", "2", "--verbose")
    host.wait_for("renewed the lock", times=9)  # each of the three that run, three times
    assert host.said() == ["begins"] * 4  # one that ended at once, three that run
    assert len(desk.peek()) == 2


def test_asynchronous_functions_run_and_blocking_ones_do_not_stop_renewals(desk: Desk) -> None:
    desk.make_gate()
    desk.app(GATED.replace("def gated", "async def gated"))
    desk.make_queue().send_message("rude")
    host = desk.host("--lock-seconds", "1", "--verbose")
    host.wait_for("renewed the lock", times=4)
    desk.open_gate()
    desk.wait_for_length(0)
    assert host.said() == ["begins rude 1", "ends rude"]


def test_outputs_reach_their_queues(desk: Desk) -> None:
    desk.app("""
        @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
        @app.queue_output(arg_name="out", queue_name="%QUEUE%-out", connection="AzureWebJobsStorage")
        @app.queue_output(arg_name="$return", queue_name="%QUEUE%-back", connection="AzureWebJobsStorage")
        def relay(msg: func.QueueMessage, out: func.Out[str], context: func.Context) -> str:
            out.set("set by " + context.function_name)
            return "returned"
    """)
    desk.make_queue().send_message("go")
    desk.host()
    desk.wait_for_length(1, "-out")
    desk.wait_for_length(1, "-back")
    assert desk.peek("-out") == ["set by relay"]
    assert desk.peek("-back") == ["returned"]


def test_plain_annotations_get_the_plain_body(desk: Desk) -> None:
    desk.app("""
        @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
        def plain(msg: str) -> None:
            say(type(msg).__name__, msg)
    """)
    desk.make_queue().send_message("bare")
    desk.host().wait_for("^SAYS str bare$")


def test_a_function_that_calls_exit_fails_alone(desk: Desk) -> None:
    desk.app(
        """
        import sys

        @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
        def leave(msg: func.QueueMessage) -> None:
            sys.exit(3)
        """,
        maxDequeueCount=1,
    )
    desk.make_queue().send_message("bye")
    host = desk.host()
    desk.wait_for_length(1, "-poison")
    assert host.stop() == 0
