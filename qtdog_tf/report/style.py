"""How the report looks: light and dark, on a phone, on paper. No font or file from elsewhere."""

CSS = """
:root{color-scheme:light dark;--ground:#fff;--ink:#1b1e24;--muted:#5b616b;--line:#dcdfe4;
--soft:#f4f6f8;--accent:#0072b2;--good:#00694d;--bad:#b84a00;--radius:10px}
@media (prefers-color-scheme:dark){:root{--ground:#16181d;--ink:#e6e8ec;--muted:#a3a9b4;
--line:#343942;--soft:#1f232a;--accent:#6cb6e4;--good:#4fc39c;--bad:#f0935a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:1rem}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
.page{max-width:76rem;margin:0 auto;padding:1.5rem 1.1rem 4rem}
header{margin-bottom:1.2rem}
h1{font-size:clamp(1.5rem,1.1rem + 1.9vw,2.2rem);line-height:1.2;margin:.2rem 0 .4rem;
letter-spacing:-.015em}
h2{font-size:1.4rem;line-height:1.25;margin:3rem 0 .8rem;padding-top:1rem;
border-top:1px solid var(--line);letter-spacing:-.01em}
h3{font-size:1.06rem;margin:2rem 0 .5rem}
p{margin:.6rem 0;max-width:46rem}
ul,ol{padding-left:1.3rem;max-width:46rem}
li{margin:.3rem 0}
a{color:var(--accent);text-underline-offset:.15em}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.muted,figcaption,.caption,.by{color:var(--muted)}
.good{color:var(--good)}.bad{color:var(--bad)}
nav{background:var(--soft);border-radius:var(--radius);padding:.7rem 1rem;font-size:.95rem}
nav h2{all:unset;display:block;font-weight:600;font-size:.95rem}
nav ol{margin:.4rem 0 .1rem;padding-left:1.4rem}
nav li{margin:.15rem 0}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
.summary{background:var(--soft);border-left:4px solid var(--accent);border-radius:var(--radius);
padding:.5rem 1.2rem .8rem}
.tiles{display:flex;flex-wrap:wrap;gap:.7rem;margin:1rem 0}
.tile{flex:1 1 8.4rem;max-width:17rem;background:var(--ground);border:1px solid var(--line);
border-radius:var(--radius);padding:.6rem .8rem}
.tile b{display:block;font-size:1.45rem;line-height:1.25;font-variant-numeric:tabular-nums;
letter-spacing:-.01em}
.tile b small{display:inline-block;margin-left:.3em;white-space:nowrap;font-size:.62em;
font-weight:500;color:var(--muted)}
.tile span{display:block;font-size:.84rem;line-height:1.35;color:var(--muted)}
.scroll{overflow-x:auto;margin:0 0 1rem;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;
line-height:1.35;overflow-wrap:break-word}
.caption{font-size:.88rem;line-height:1.45;margin:1.2rem 0 .3rem}
th,td{padding:.36rem .7rem;text-align:right;white-space:nowrap;
border-bottom:1px solid var(--line)}
th:first-child,td:first-child{padding-left:.1rem}
thead th{font-weight:600;color:var(--muted);border-bottom:2px solid var(--line);
vertical-align:bottom;white-space:normal;min-width:3.6rem}
th:first-child,.name{text-align:left}tbody th{font-weight:500}
tbody th,td.name{white-space:normal;min-width:6.5rem;max-width:18rem}
tbody td.name{font-weight:400}
th.group{padding-top:1rem;font-weight:600;color:var(--muted);font-size:.86rem}
td b{font-weight:700}
figure{margin:1.2rem 0 1.6rem}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));
gap:1rem 1.4rem;justify-items:start}
.panels>svg{display:block;width:100%;max-width:29rem;height:auto}
figcaption{font-size:.88rem;margin-top:.5rem;max-width:46rem;line-height:1.45}
.key{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;padding:0;margin:0 0 .6rem;
font-size:.9rem;max-width:none}
.key li{display:flex;align-items:center;gap:.45rem;margin:0}
.key svg{flex:none}
.command{margin:.8rem 0 1.4rem}
.by{font-size:.8rem;margin:0 0 .15rem}
pre{margin:0;padding:.55rem .8rem;background:var(--soft);border:1px solid var(--line);
border-radius:8px;font:.82rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
white-space:pre-wrap;overflow-wrap:anywhere;max-height:22rem;overflow-y:auto}
pre span{display:inline-block;max-width:100%;word-break:break-all}
details{margin:.8rem 0}
summary{cursor:pointer;color:var(--accent);font-size:.95rem;padding:.2rem 0}
.command details{margin:.3rem 0}
.command summary{font-size:.82rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));
gap:.1rem 1.6rem;margin:.8rem 0}
dl div{display:flex;justify-content:space-between;gap:1rem;border-bottom:1px solid var(--line);
padding:.28rem 0}
dt{flex:none;color:var(--muted)}
dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,10.5rem),1fr));
gap:.9rem;margin:1rem 0}
.card{border:1px solid var(--line);border-radius:var(--radius);padding:.6rem;font-size:.86rem;
line-height:1.4}
.card p{margin:.3rem 0 0}
.card img,.shots img{display:block;width:100%;height:auto;aspect-ratio:1;border-radius:6px;
background:#fff}
.cases{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,33rem),1fr));gap:.9rem}
.cases .card>p{margin:0 0 .45rem}
.shots{display:grid;grid-template-columns:repeat(auto-fit,minmax(5.2rem,1fr));gap:.5rem}
.shots figure{margin:0;max-width:9.5rem}
.shots figcaption{margin-top:.25rem;font-size:.78rem;line-height:1.35}
.gone{display:grid;place-items:center;aspect-ratio:1;border:1px dashed var(--line);
border-radius:6px;color:var(--muted);font-size:.75rem;text-align:center;padding:.3rem}
.confusion td,.confusion th{padding:.22rem .3rem;text-align:center;border:1px solid var(--line)}
.confusion td{min-width:1.9rem}
.confusion tbody th{text-align:right;white-space:nowrap;min-width:0}
.confusion thead th{min-width:0;vertical-align:bottom;border-bottom-width:1px}
.confusion thead span{writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap}
.confusion td{background:color-mix(in srgb,var(--accent) calc(var(--part)*62%),transparent)}
footer{margin-top:3rem;border-top:1px solid var(--line);padding-top:1rem}
@media (min-width:72rem){
.page{display:grid;grid-template-columns:13.5rem minmax(0,1fr);gap:0 2.6rem}
header,footer{grid-column:1/-1}
nav{position:sticky;top:1rem;align-self:start;max-height:calc(100vh - 2rem);overflow-y:auto}
main>section:first-child>h2{margin-top:0;border-top:0;padding-top:0}}
@media print{:root{color-scheme:light;--ground:#fff;--ink:#000;--muted:#444;--line:#bbb;
--soft:#f6f6f6;--accent:#00517f}
body{font-size:10pt}.page{display:block;max-width:none;padding:0}nav{position:static}
figure,table,.card,.tile,pre{break-inside:avoid}h2,h3{break-after:avoid}
.scroll{overflow:visible}table{font-size:8pt}th,td{white-space:normal;padding:.2rem .4rem}
.command details{display:none}pre{max-height:none}a{color:inherit}
details::details-content{content-visibility:visible;block-size:auto}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
