"""How the page looks: a style sheet that asks for nothing from elsewhere."""

STYLE = """
:root {
  --text: #1f2933; --soft: #5d6975; --faint: #8c97a3; --line: #dde3e9; --accent: #1f5f99;
}
* { box-sizing: border-box; }
body {
  margin: 0; background: #fff; color: var(--text); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
main { max-width: 64rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; font-weight: 650; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; font-weight: 650; margin: 3rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; font-weight: 650; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; max-width: 46rem; }
code { font: .875em ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  white-space: nowrap; }
.soft, .note { color: var(--soft); }
.note { font-size: .875rem; }
nav { margin: .75rem 0 1.5rem; }
nav a { color: var(--accent); margin-right: 1rem; text-decoration: none; white-space: nowrap; }
nav a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 400; }
thead th { color: var(--soft); font-size: .8125rem; font-weight: 600; vertical-align: bottom; }
.number { text-align: right; white-space: nowrap; }
.number:last-child, th:last-child { padding-right: 0; }
thead th.number { white-space: normal; max-width: 11rem; }
.settings td { min-width: 7rem; white-space: normal; overflow-wrap: anywhere; }
.stages tbody th { width: 40%; min-width: 11rem; }
tbody th.group { padding-top: 1.1rem; font-weight: 650; overflow-wrap: anywhere; }
.dim, .dim th { color: var(--faint); }
.detail { display: block; color: var(--soft); font-size: .8125rem; }
.dim .detail { color: var(--faint); }
.strong { font-weight: 650; }
.differs { background: #fff4d6; }
.grid { display: grid; gap: 0 2.5rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); }
figure { margin: 1rem 0; }
figure svg { display: block; width: 100%; min-width: 28rem; height: auto; }
.word { overflow-wrap: anywhere; }
.bar { display: block; height: 3px; margin-top: 2px; margin-left: auto; background: var(--accent);
  border-radius: 1px; opacity: .55; }
.lost .bar { background: #c2571a; }
ol.samples { margin: .5rem 0; padding-left: 1.5rem; }
ol.samples li { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
ol.samples li::marker { color: var(--soft); }
footer { margin-top: 3rem; color: var(--soft); font-size: .875rem; }
@media print { main { max-width: none; padding: 0; } nav { display: none; } }
""".strip()
