"""What a start prints: the functions with their triggers and URLs."""

from local.host.app_index import AppIndex, AuthLevel, IndexedFunction, QueueTrigger, TimerTrigger


def describe(index: AppIndex, *, base_url: str, route_prefix: str) -> str:
    """Return the list of functions, one a line, the ones that do not run below."""
    lines = ["", "Functions:", ""]
    width = max((len(function.name) for function in index.functions), default=0)
    lines += [
        f"  {function.name:<{width}}  {_trigger(function, base_url, route_prefix)}"
        for function in sorted(index.functions, key=lambda function: function.name)
    ]
    lines += [f"  {name} is disabled by a setting" for name in index.disabled]
    lines += [""]
    lines += [f"  {sentence}" for sentence in index.in_error]
    return "\n".join(lines)


def _trigger(function: IndexedFunction, base_url: str, route_prefix: str) -> str:
    trigger = function.trigger
    if isinstance(trigger, QueueTrigger):
        return f"queue {trigger.queue}"
    if isinstance(trigger, TimerTrigger):
        return f"timer {trigger.schedule_text}"
    methods = ",".join(sorted(trigger.methods)) if trigger.methods else "any method"
    path = "/".join(part for part in (route_prefix, trigger.template.text.strip("/")) if part)
    key = "" if trigger.auth is AuthLevel.ANONYMOUS else "  (key)"
    return f"{methods} {base_url}/{path}{key}"
