from __future__ import annotations

import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.address import CONTROL
from shared.core.rendering import Rendered, Template, render
from shared.errors import MessageError

DATA: dict[str, Any] = {
    "name": "Ada <b>",
    "rows": [{"article": "Käse", "price": 12.5}, {"article": "Brot", "price": 3}],
    "long": "x" * 60_000,
    "numbers": list(range(15_000)),
    "others": list(range(15_000, 30_000)),
    "lists": [[1]] * 15_000,
    "huge": 10**4000,
    "empty": "",
}


def template(text: str | None = None, *, html: str | None = None, subject: str | None = None) -> Template:
    return Template("order", "de", subject, html, text)


def text(source: str, data: dict[str, Any] | None = None) -> str:
    filled = render(template(source), DATA if data is None else data).text
    assert filled is not None
    return filled


def problem(source: str, data: dict[str, Any] | None = None) -> str:
    with pytest.raises(MessageError) as refused:
        render(template(source), DATA if data is None else data)
    (said,) = refused.value.problems
    start = "template: order/de/body.txt: "
    assert said.startswith(start)
    return said.removeprefix(start)


def test_each_file_is_filled_and_only_html_is_escaped() -> None:
    source = "Hi {{ name }}"
    assert render(template(source, html=source, subject=source), DATA) == Rendered(
        subject="Hi Ada <b>", html="Hi Ada &lt;b&gt;", text="Hi Ada <b>"
    )


def test_what_a_template_does_not_have_stays_away() -> None:
    assert render(template(), DATA) == Rendered(None, None, None)


@pytest.mark.parametrize(
    ("source", "subject"),
    [
        ("  Your order\n", "Your order"),
        ("Order\r\nBcc: eve@example.com", "Order Bcc: eve@example.com"),
        ("{{ evil }}", "a Bcc: eve@example.com b"),
        ("a\x07b\x7f\u2028c\x85d\x1be", "ab c de"),
        ("", ""),
    ],
)
def test_a_subject_is_one_line(source: str, subject: str) -> None:
    filled = render(template(subject=source), {"evil": "a\r\nBcc: eve@example.com\r\n\tb"})
    assert filled.subject == subject


def test_a_subject_has_998_characters_at_most() -> None:
    assert render(template(subject="{{ x }}"), {"x": "x" * 998}).subject == "x" * 998
    with pytest.raises(MessageError) as refused:
        render(template(subject="{{ x }}", html="{{ y }}"), {"x": "x" * 999})
    assert refused.value.problems == (
        "template: order/de/subject.txt: it makes 999 characters; 998 at most",
        "template: order/de/body.html: 'y' is undefined; add it to data",
    )


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{% for row in rows %}{{ loop.index }} {{ row.article|upper }};{% endfor %}", "1 KÄSE;2 BROT;"),
        ("{{ rows|map(attribute='article')|join(', ') }}", "Käse, Brot"),
        ("{{ rows|sum(attribute='price') }}", "15.5"),
        ("{{ rows|selectattr('price', 'gt', 5)|list|length }}", "1"),
        ("{{ (rows|sort(attribute='price')|first).article }}", "Brot"),
        ("{{ 250000|string }} {{ 1000000 * 3 }} {{ 7 // 2 }} {{ 7 % 4 }}", "250000 3000000 3 3"),
        ("{{ 'a' ~ 1 ~ none }} {{ 'a' + 'b' }} {{ [1] + [2] }}", "a1None ab [1, 2]"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m('a') }}", "<1><a>"),
        ("{% set x %}block{% endset %}{{ x|title }}{% filter upper %}a{% endfilter %}", "BlockA"),
        (
            "{% set ns = namespace(n=0) %}{% for r in rows %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "2",
        ),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}", "a=1"),
        ("{{ name if name is defined else 'x' }} {{ nobody|default('y') }}", "Ada <b> y"),
        ("{{ 'a,b'.split(',')[1] }} {{ 'abc'[1:] }} {{ 2 in [1, 2] }}", "b bc True"),
        ("{{ rows|batch(1)|list|length }}{{ rows|groupby('article')|list|length }}", "22"),
        ("{{ numbers|batch(5000)|map('length')|list }}", "[5000, 5000, 5000]"),
        ("{{ 'a\nb'|indent(2) }}{{ 'a long text'|truncate(6, true, '…', 0) }}", "a\n  ba lon…"),
        ("{{ rows|tojson }}", '[{"article": "K\\u00e4se", "price": 12.5}, {"article": "Brot", "price": 3}]'),
    ],
)
def test_what_a_mail_needs_can_be_written(source: str, written: str) -> None:
    assert text(source) == written


def test_a_template_of_a_thousand_rows_is_within_its_budget() -> None:
    source = (
        "{% for row in rows %}{{ loop.index }} {{ row.name|upper }} {{ row.price|round(2) }}\n{% endfor %}"
    )
    data = {"rows": [{"name": f"Item {number}", "price": 1.239} for number in range(1000)]}
    assert text(source, data).count("\n") == 1000


# What is missing or wrong.


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ nobody }}", "'nobody' is undefined; add it to data"),
        ("{{ rows[0].nothing }}", "'dict object' has no attribute 'nothing'; add it to data"),
        ("{{ nobody.name }}", "'nobody' is undefined; add it to data"),
        ("{% if nobody %}x{% endif %}", "'nobody' is undefined; add it to data"),
        ("{% for x in nobody %}x{% endfor %}", "'nobody' is undefined; add it to data"),
        ("{{ nobody ~ 'x' }}", "'nobody' is undefined; add it to data"),
        ("{{ nobody == 1 }}", "'nobody' is undefined; add it to data"),
        ("{{ nobody|upper }}", "'nobody' is undefined; add it to data"),
        ("{{ lipsum() }}", "'lipsum' is undefined; add it to data"),
        ("a\nb\n{{ x", "line 3: unexpected end of template, expected 'end of print statement'."),
        ("{% nothing %}", "line 1: Encountered unknown tag 'nothing'."),
        ("\n{{ 1|nothing }}", "line 2: No filter named 'nothing'."),
        ("{{ 1 + 'a' }}", "an expression in it cannot be worked out (TypeError)"),
        ("{{ 1 / 0 }}", "an expression in it cannot be worked out (ZeroDivisionError)"),
        ("{% include 'other' %}", "an expression in it cannot be worked out (TypeError)"),
        ("{% extends 'other' %}", "an expression in it cannot be worked out (TypeError)"),
        ("{% import 'os' as os %}", "an expression in it cannot be worked out (TypeError)"),
        ("{{ nul }}", "it writes a NUL character, which no mail server takes"),
        ("{{ half }}", "it writes half a surrogate pair, which is no character"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(source: str, said: str) -> None:
    assert problem(source, {**DATA, "nul": "a\0", "half": "\ud83d"}) == said


def test_every_file_that_cannot_be_filled_is_named() -> None:
    with pytest.raises(MessageError) as refused:
        render(template("{{ a }}", html="{{ b }}", subject="{{ c"), {})
    assert [said.partition(": ")[2].partition(":")[0] for said in refused.value.problems] == [
        "order/de/subject.txt",
        "order/de/body.html",
        "order/de/body.txt",
    ]


def test_what_is_said_quotes_nothing_of_the_data() -> None:
    for source in (
        "{{ secret.nothing }}",
        "{{ secret + 1 }}",
        "{{ {secret: 1}[{}] }}",
        "{{ secret[0][5:].x }}",
    ):
        assert "s3cr3t" not in problem(source, {"secret": "s3cr3t"})


def test_a_missing_name_that_comes_from_the_data_breaks_no_line() -> None:
    said = problem("{{ {}[key] }}", {"key": "x\nto: forged" + "y" * 1000})
    assert said.startswith("'dict object' has no attribute 'x?to: forgedyyy") or "x\\nto" in said
    assert not CONTROL.search(said)
    assert len(said) < 250


# Ways out of a sandbox, as they are passed on.

ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('__cla' ~ 'ss__') }}",
    "{{ ['']|map(attribute='__class__')|list }}",
    "{{ ['']|map('attr', '__class__')|list }}",
    "{{ [{}]|sum(attribute='__class__') }}",
    "{{ ().__class__.__base__ }}",
    "{{ {}.__class__.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__globals__ }}",
    "{{ dict.__base__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ (self|attr('_TemplateReference__context')).environment }}",
    "{% macro m() %}{% endmacro %}{{ m.__call__.__globals__ }}",
    "{% macro m() %}{{ caller.__init__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{{ loop.__init__ }}{% for x in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}",
    "{{ '{a.__class__}'.format_map({'a': ''}) }}",
    "{{ ('{0.__class__}'|safe).format('') }}",
    "{% set f = '{0.__class__}'.format %}{{ f('') }}",
    "{{ ('%(__class__)s' % {}) }}",
    "{{ 'a'.encode() }}",
    "{{ 'a'.join(['b']) }}",
    "{{ [].append(1) }}",
    "{{ {}.update(a=1) }}",
    "{{ {}.setdefault('a', 1) }}",
    "{{ numbers.clear() }}",
    "{{ numbers.sort() }}",
    "{{ rows[0].pop('article') }}",
    "{{ (1).to_bytes(1) }}",
    "{{ (1).__class__ }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ url_for.__globals__ }}",
    "{{ __builtins__ }}",
    "{{ _ }}{{ gettext('x') }}",
    "{{ environment.loader }}",
    "{{ context }}",
    "{{ (cycler(1)).__init__ }}",
    "{% set x = namespace() %}{% set x.__class__ = 1 %}",
    "{{ ''.__doc__ }}",
    "{{ (().__len__).__self__ }}",
    "{% for x in (1).__dir__() %}{{ x }}{% endfor %}",
    "{{ 'x'|format }}",
    "{{ {}|xmlattr }}",
    "{{ [1]|random }}",
    "{{ ''|pprint }}",
]


# What only the inside of Python looks like, printed.
LEAKED = re.compile(r"<class|object at 0x|<function|<built-in|<bound|<module|uid=|mappingproxy")


@pytest.mark.parametrize("source", ESCAPES)
def test_no_way_out_of_the_sandbox_is_open(source: str) -> None:
    before = repr(DATA)
    try:
        written = text(source)
    except MessageError as refused:
        (written,) = refused.problems
    assert not LEAKED.search(written)
    assert repr(DATA) == before


# A budget, so that nothing hangs or fills the memory.


def again(step: str, start: str = "huge") -> str:
    return f"{{% set ns = namespace(x={start}) %}}{{% for i in range(99999) %}}{step}{{% endfor %}}"


def grow(step: str, start: str = "'xx'") -> str:
    return (
        f"{{% set ns = namespace(x={start}) %}}{{% for i in range(64) %}}{step}{{% endfor %}}{{{{ ns.x }}}}"
    )


M = "{% macro m(x=0) %}"
END = "{% endmacro %}"
BOMBS = {
    "loops in loops": "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "filtered loops": ("{% for i in range(9999) %}{% for j in range(9999) if 0 %}x{% endfor %}{% endfor %}"),
    "a recursive loop": "{% for a in lists recursive %}{{ loop(lists) }}{% endfor %}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro that calls itself twice": M
    + "{% if x %}{{ m(x - 1) ~ m(x - 1) }}{% endif %}"
    + END
    + "{{ m(40) }}",
    "calls in calls": M
    + "{{ caller() }}{{ caller() }}"
    + END
    + "{% call m() %}" * 18
    + "x"
    + "{% endcall %}" * 18,
    "a block in itself": "{% block a %}{{ self.a() }}{% endblock %}",
    "~ doubling": grow("{% set ns.x = ns.x ~ ns.x %}"),
    "+ doubling": grow("{% set ns.x = ns.x + ns.x %}"),
    "+ doubling a list": grow("{% set ns.x = ns.x + ns.x %}", "[1]"),
    "set doubling": grow("{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}"),
    "a filter block doubling": grow(
        "{% set ns.x %}{% filter e %}{{ ns.x }}{{ ns.x }}{% endfilter %}{% endset %}"
    ),
    "a macro doubling": "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}" + grow("{% set ns.x = m(ns.x) %}"),
    "join doubling": grow("{% set ns.x = [ns.x, ns.x]|join %}"),
    "replace doubling": grow("{% set ns.x = ns.x|replace('x', 'xx') %}"),
    "lists in lists": grow("{% set ns.x = [ns.x, ns.x] %}", "[1]"),
    "tuples in tuples": grow("{% set ns.x = (ns.x, ns.x) %}", "[1]"),
    "dicts in dicts": grow("{% set ns.x = {'a': ns.x, 'b': ns.x} %}", "[1]"),
    "dict() in dict()": grow("{% set ns.x = dict(a=ns.x, b=ns.x) %}", "[1]"),
    "numbers squared": grow("{% set ns.x = ns.x * ns.x %}", "99999999"),
    "numbers doubled": again("{% set ns.x = ns.x + ns.x %}"),
    "numbers subtracted": again("{% set ns.x = ns.x - -ns.x %}"),
    "a power": "{{ 9 ** 9 ** 9 }}",
    "text repeated": "{{ 'x' * 1000000000 }}",
    "a list repeated": "{{ [1] * 1000000000 }}",
    "repeated from the other side": "{{ 1000000000 * 'x' }}",
    "a width in %": "{{ '%1000000000d' % 1 }}",
    "a width in format": "{{ '{:>1000000000}'.format(1) }}",
    "a width in f|format": "{{ '%1000000000d'|format(1) }}",
    "center": "{{ 'x'|center(1000000000) }}",
    "ljust": "{{ 'x'.ljust(1000000000) }}",
    "zfill": "{{ 'x'.zfill(1000000000) }}",
    "expandtabs": "{{ '\t'.expandtabs(1000000000) }}",
    "indent": "{{ (long[:1000]|replace('x', '\n'))|indent(150000) }}",
    "replace": "{{ long|replace('x', long) }}",
    "join": "{{ numbers|join(long) }}",
    "batch": "{{ [1]|batch(1000000000, 'x')|list }}",
    "slice": "{{ [1]|slice(1000000000)|list }}",
    "many batches": "{% for i in range(99999) %}{% set y = [1]|batch(190000, 'x')|list %}{% endfor %}",
    "a huge range": "{{ range(1000000000)|list }}",
    "many ranges": "{% for i in range(99999) %}{% set y = range(99999)|list %}{% endfor %}",
    "a search in each round": "{% for i in range(99999) %}{% if 'q' in numbers %}{% endif %}{% endfor %}",
    "select in": "{{ others|select('in', numbers)|list|length }}",
    "is in": "{% for i in range(99999) %}{% if 'q' is in numbers %}{% endif %}{% endfor %}",
    "slices": "{% for i in range(99999) %}{% set y = long[1:] %}{% endfor %}",
    "a long text in each round": "{% for i in range(99999) %}{% set y = long|upper %}{% endfor %}",
    "a method in each round": "{% for i in range(99999) %}{% set y = long.upper() %}{% endfor %}",
    "escape in each round": "{% for i in range(99999) %}{% set y = long|e %}{% endfor %}",
    "a sum of lists": "{{ lists|sum(start=[]) }}",
    "sort in each round": "{% for i in range(99999) %}{% set y = numbers|sort %}{% endfor %}",
    "output": "{% for i in range(99999) %}{{ long }}{% endfor %}",
    "numbers as text": "{% for i in range(99999) %}{% set y = [huge]|join %}{% endfor %}",
    "many blocks": "{% for a in numbers %}" * 25 + "{% endfor %}" * 25,
    "text set aside": f"{{% set x %}}{{% for i in range(99999) %}}{'x' * 5000}{{% endfor %}}{{% endset %}}",
    "nothing, often": f"{{% for i in range(99999) %}}{'{{ empty }}' * 100}{{% endfor %}}",
    "brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a deep list": "{{ " + "[" * 500 + "1" + "]" * 500 + " }}",
    "many signs": "{{ " + "not " * 3000 + "1 }}",
    "many sums": "{{ 1" + " + 1" * 5000 + " }}",
    "many ifs": "{% if 1 %}" * 500 + "{% endif %}" * 500,
}  # fmt: skip
IN_BUDGET = (
    "its loops turn more than", "it calls itself without end", "an expression in it builds more than",
    "its expressions handle more than", "it writes more than", "it raises to a power", "it repeats text",
    "it formats with %", "it works with numbers", "it sums what is no number", "it is nested too deeply",
    "it does what a template may not do", "line 1: No filter named",
    "an expression in it cannot be worked out (OverflowError)",
)  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("escaped", [False, True], ids=["text", "html"])
def test_a_template_that_asks_for_too_much_is_stopped(kind: str, *, escaped: bool) -> None:
    source = BOMBS[kind]
    with pytest.raises(MessageError) as refused:
        render(template(html=source) if escaped else template(source), DATA)
    (said,) = refused.value.problems
    assert said.partition("body.")[2].partition(": ")[2].startswith(IN_BUDGET)


GROWING = [kind for kind in BOMBS if " doubling" in kind or (" in " in kind and "loop" not in kind)]
GROWING += [
    "text set aside",
    "output",
    "indent",
    "replace",
    "join",
    "batch",
    "slice",
    "a huge range",
    "numbers squared",
]


@pytest.mark.parametrize("kind", [kind for kind in GROWING if "round" not in kind and "calls" not in kind])
def test_what_grows_is_stopped_while_it_is_small(kind: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            render(template(BOMBS[kind]), DATA)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


PIECES = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            " ",
            "name",
            "rows",
            "for",
            "in",
            "if",
            "set",
            "endfor",
            "endif",
            "x",
        ),
        *("|", "upper", "join", "list", "(", ")", "[", "]", "'", ".", "~", "+", "*", "1", "=", "=="),
        *(
            ",",
            ":",
            "-",
            "macro",
            "endmacro",
            "call",
            "endcall",
            "namespace",
            "loop",
            "__class__",
            "\n",
            "is",
            "not",
        ),
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=50))
def test_any_template_is_filled_or_refused_in_a_line(source: str) -> None:
    try:
        render(template(source, html=source, subject=source), DATA)
    except MessageError as refused:
        assert all(said.startswith("template: order/de/") for said in refused.problems)  # noqa: PT017 - either is right


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_any_value_is_written_escaped_and_on_one_line_in_a_subject(value: object) -> None:
    source = "{{ value }}"
    try:
        filled = render(template(source, html=f"<p>{source}</p>", subject=source), {"value": value})
    except MessageError as refused:
        assert all("NUL" in said or "surrogate" in said for said in refused.problems)  # noqa: PT017 - either is right
        return
    assert filled.subject is not None
    assert filled.html is not None
    assert not CONTROL.search(filled.subject)
    inside = filled.html.removeprefix("<p>").removesuffix("</p>")
    assert not set("<>\"'") & set(inside)
