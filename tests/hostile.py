"""Names that a script may have given: what must change nothing on a page or a terminal."""

HOSTILE = {
    "escape": "\x1b[2J\x1b[1;1Hgone",
    "title": "\x1b]0;owned\x07",
    "eight bits": "\x9b2J\x90q\x9c",
    "lines": "one\ntwo\rthree\x0b\x85\u2028four",
    "direction": "rnn\u202egnp.l0\u200f\u2066",
    "surrogate": "caf\udce9",
    "nul": "a\x00b\x7f\x08\x08",
    "long": "x" * 10_000,
    "wide": "漢" * 10_000,
    "stacked": "e" + "\u0301" * 10_000,
    "invisible": "a\u200b\u200d\ufeffb\u00ad",
}

# The same for HTML: what would end an element, begin one, or be read as one.
MARKUP = {
    "end of script": "</script><script>document.title = 'gone'</script>",
    "comment": "<!--<script>",
    "image": '"><img src=x onerror="alert(1)">',
    "template": "${alert(1)}{{alert(1)}}",
    "entity": "&lt;b&gt; &amp; &#x3c;script&#x3e;",
    "quotes": "'\"`",
    "end of noscript": "</noscript><h1>gone</h1>",
    "separators": "a\u2028b\u2029c",
}
