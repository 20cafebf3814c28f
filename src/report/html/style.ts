/** The page's one style sheet: system fonts, both colour schemes, small screens and paper. */
export const style = `
:root{color-scheme:light dark;--page:#f6f7f8;--paper:#fff;--text:#1b2026;--soft:#56606b;--line:#d8dde3;--strong:#aeb7c1;
--accent:#1857b0;--ok:#176b3a;--bad:#ab1f17;--badpaper:#fdf1f0;--okpaper:#eef7f1;--start:#8aa9d6;--run:#2f6fc4;--failed:#cf4a40;--stripe:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--page:#12161a;--paper:#1a1f25;--text:#e6eaee;--soft:#a4afba;--line:#333b44;--strong:#55606c;
--accent:#8ab8ff;--ok:#74cf93;--bad:#ff9a90;--badpaper:#2c1a19;--okpaper:#16261c;--start:#5f7fae;--run:#6da2ee;--failed:#e8796f;--stripe:#1f252c}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main,footer{max-width:72rem;margin:0 auto;padding:0 1.5rem}
header{padding-top:2.5rem}
h1,h2,h3{line-height:1.25;margin:0;overflow-wrap:anywhere;text-wrap:balance}
h1{font-size:1.75rem;font-weight:650;letter-spacing:-.01em}
h2{font-size:1.3rem;font-weight:650}
h3{font-size:1rem;font-weight:650}
p{margin:.5rem 0}
a{color:var(--accent);text-underline-offset:.15em}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem 1rem;z-index:1}
.kicker{margin:0 0 .25rem;color:var(--soft);font-size:.875rem}
.soft,.note,.kicker,figcaption,footer{color:var(--soft)}
.facts{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;margin:.75rem 0 0;padding:0;list-style:none;color:var(--soft);font-size:.875rem}
.facts li{overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:1rem 0 0;padding:0;list-style:none;font-size:.9375rem}
section{margin-top:2.5rem}
section.session{border-top:1px solid var(--line);padding-top:2rem}
.result{display:inline-flex;align-items:center;gap:.5rem;font-weight:600}
.result::before{content:"";width:.65rem;height:.65rem;border-radius:50%;background:currentColor}
.good{color:var(--ok)}.bad{color:var(--bad)}.open{color:var(--soft)}
.alert{margin-top:1.25rem;padding:1.25rem 1.5rem;background:var(--badpaper);border:1px solid var(--bad);border-left-width:5px;border-radius:6px}
.alert h2,.alert h3{color:var(--bad)}
.alert p,.alert li{overflow-wrap:anywhere}
.alert ul{margin:.5rem 0 0;padding-left:1.25rem}
code{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.figures{display:flex;flex-wrap:wrap;margin:1.5rem 0 0;background:var(--paper);border:1px solid var(--line);border-radius:6px;overflow:hidden}
.figures div{flex:1 1 8.5rem;display:flex;flex-direction:column-reverse;justify-content:flex-end;padding:.9rem 1.1rem;box-shadow:-1px -1px 0 var(--line)}
.figures dt{color:var(--soft);font-size:.8125rem}
.figures dd{margin:0;font-size:1.375rem;font-weight:600;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.figures .bad dt{color:inherit}
.about{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.25rem;margin:1rem 0 0;font-size:.9375rem}
.about dt{color:var(--soft)}
.about dd{margin:0;overflow-wrap:anywhere}
figure{margin:1.5rem 0 0}
figcaption{display:flex;flex-wrap:wrap;align-items:center;gap:.35rem;margin-top:.5rem;font-size:.8125rem}
figcaption .key:not(:first-child){margin-left:1rem}
.key{width:.8rem;height:.8rem;border-radius:2px;flex:none}
.key.start{background:var(--start)}.key.run,.key.out{background:var(--run)}.key.failed,.key.lost{background:var(--failed)}.key.in{background:var(--ok)}
.scroll{overflow:auto;max-height:min(85vh,46rem);background:var(--paper);border:1px solid var(--line);border-radius:6px}
.chart{padding:1rem 1.25rem}
svg{display:block;width:100%;min-width:52rem;height:auto;font-size:13px}
svg text{fill:var(--text)}
svg .tick,svg .value{fill:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--line)}
rect.start{fill:var(--start)}rect.run{fill:var(--run)}rect.failed{fill:var(--failed)}
.lines path{fill:none;stroke:var(--run);stroke-opacity:.75}
.lines .in{stroke:var(--ok)}.lines .lost{stroke:var(--failed);stroke-dasharray:7 4}.lines .rest{stroke:var(--strong);stroke-dasharray:2 4}
rect.program{fill:var(--paper);stroke:var(--strong);stroke-width:1.5}
text.name{font-weight:600}
.parts>h3{margin-top:2rem}
.table{margin-top:1.75rem}
.filter{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem .75rem;margin-bottom:.5rem;font-size:.875rem}
.filter[hidden],tr[hidden]{display:none}
.filter input{font:inherit;color:inherit;min-width:0;width:18rem;max-width:100%;padding:.35rem .6rem;background:var(--paper);border:1px solid var(--soft);border-radius:4px}
table{border-collapse:collapse;width:100%;font-size:.875rem}
caption{padding:.8rem 1rem;text-align:left;font-size:1rem;font-weight:650}
.count{color:var(--soft);font-weight:400;font-size:.875rem;margin-left:.35rem}
th,td{padding:.45rem 1rem;text-align:left;vertical-align:top;border-top:1px solid var(--line);overflow-wrap:anywhere}
tbody th{font-weight:400;min-width:11rem}
tbody tr:nth-child(even){background:var(--stripe)}
thead{position:sticky;top:0;background:var(--paper);box-shadow:0 1px 0 var(--line)}
thead th{color:var(--soft);font-weight:600;font-size:.8125rem;vertical-align:bottom;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
thead button{all:unset;box-sizing:border-box;position:relative;cursor:pointer;color:inherit;font:inherit;padding:.2rem 0}
thead button:hover{color:var(--text);text-decoration:underline;text-underline-offset:.2em}
thead button:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:3px}
thead button::after{position:absolute;left:100%;padding-left:.2em}
[aria-sort=ascending] button::after{content:"↑"}[aria-sort=descending] button::after{content:"↓"}
.note{font-size:.8125rem}
footer{margin-top:3rem;padding-bottom:3rem;font-size:.8125rem}
@media (max-width:40rem){header,main,footer{padding-left:1rem;padding-right:1rem}header{padding-top:1.5rem}
.about{grid-template-columns:1fr;gap:0}.about dd{margin-bottom:.5rem}th,td{padding-left:.75rem;padding-right:.75rem}}
@media print{:root{color-scheme:light;--page:#fff;--paper:#fff;--text:#000;--soft:#444;--line:#bbb;--strong:#888;--accent:#000;--ok:#0a5a2b;--bad:#900;
--badpaper:#fff;--okpaper:#fff;--start:#8aa9d6;--run:#2f6fc4;--failed:#cf4a40;--stripe:#fff}
body{font-size:11pt}header,main,footer{max-width:none;padding:0}nav,.filter,.skip{display:none}
.scroll{overflow:visible;max-height:none;border:0}thead{position:static}.chart{padding:0}svg{min-width:0}
tr,figure,.alert,.figures{break-inside:avoid}h2,h3,caption{break-after:avoid}thead{display:table-header-group}}
`
