"""Texts of shop pages."""

import pytest

from dataset_prep.html_text import clean, is_code


@pytest.mark.parametrize(
    "value, text",
    [
        ("Tom&#39;s <b>drum</b>\n1", "Tom's drum 1"),
        ("A &amp;amp; B", "A & B"),
        ("&lt;p&gt;red&lt;/p&gt; drum", "red drum"),
        ("Fits waist <30 in and chest >20 in", "Fits waist <30 in and chest >20 in"),
        ("Title < 5 kg", "Title < 5 kg"),
        ("waist <30 & chest >20", "waist <30 & chest >20"),
        ("I <3 drums", "I <3 drums"),
        ("a <Brand New> drum", "a <Brand New> drum"),
        ("x<y and z>w", "x<y and z>w"),
        ("cut <b", "cut <b"),
        ("cut &am", "cut &am"),
        ("one<br/>two<br>three", "one two three"),
        ("a<!-- hidden -->b", "ab"),
        ("<style>.a{color:#c45500}</style>red<script>if (a < b) f();</script> drum", "red drum"),
        ("red <script>var t0 = 1;", "red"),
        ("</span></span>", ""),
        (["Loud.", None, "<i>Red.</i>"], "Loud. Red."),
        ({"Colour": "red", "Size": None, "n": [1, 2]}, "Colour: red n: 1 2"),
        (float("nan"), ""),
        (3, "3"),
    ],
)
def test_texts(value, text):
    assert clean(value) == text


@pytest.mark.parametrize(
    "text",
    [
        "var aPageStart = (new Date()).getTime(); var ue_t0=ue_t0||+new Date();",
        ".a-box-inner{background-color:#fff}#buyWidget .selected{color:#c45500;font-size:13px}",
        "(function(a, b) { return a; })()",
    ],
)
def test_code(text):
    assert is_code(text)


@pytest.mark.parametrize(
    "text", ["Set {12 pieces}", "A function (f) of drums", "var. Alba, red: 3", "size: 3; colour: {red}"]
)
def test_what_only_resembles_code(text):
    assert not is_code(text)
