"""The style sheet of the report: system fonts, dark on white, usable on a phone and on paper."""

STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0;background:#fff;color:#1b1b1f;font-size:16px;line-height:1.5;
  font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:1.25rem clamp(.75rem,3vw,2rem) 4rem}
h1{font-size:clamp(1.35rem,4vw,1.9rem);line-height:1.2;margin:.5rem 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:2.6rem 0 .6rem;padding-bottom:.25rem;border-bottom:2px solid #1b1b1f}
h3{font-size:1.05rem;margin:1.4rem 0 .5rem;overflow-wrap:anywhere}
p{margin:.5rem 0;max-width:75ch;overflow-wrap:anywhere}
.verdict{font-size:1.08rem;background:#f3f5f7;border-left:5px solid #1f5fa8;padding:.8rem 1rem;max-width:none}
.small{font-size:.9rem;color:#43474e}
.scroll{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{text-align:left;font-size:.9rem;color:#43474e;padding:.2rem 0;max-width:75ch}
th,td{padding:.3rem .55rem;text-align:left;border-bottom:1px solid #dfe2e6;vertical-align:middle}
thead th{font-size:.9rem;vertical-align:bottom;border-bottom:2px solid #9aa0a8}
tbody th{font-weight:600}
tbody th div{max-width:15rem;overflow-wrap:break-word}
.named span:last-child{min-width:0}
td.number,thead th.number{text-align:right}
td.number{white-space:nowrap}
.between{display:block;color:#43474e;font-size:.85em;line-height:1.2}
.swatch{display:inline-block;width:1em;height:1em;margin-right:.45em;border:1px solid #1b1b1f;vertical-align:-.12em}
svg{display:block}
svg text{fill:#1b1b1f;font-family:inherit}
svg.bar{width:130px;height:12px}
svg.curve{width:100%;max-width:380px;height:auto}
.beside{display:flex;flex-wrap:wrap;gap:1rem 2rem;align-items:flex-start}
.beside>div{flex:1 1 280px}
.beside>svg{flex:0 1 380px}
.matrix td{text-align:center;border:1px solid #fff;min-width:3.4rem}
.matrix thead th{border-bottom:none}
.matrix .turned span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:11rem;overflow-wrap:anywhere}
.case{margin:1rem 0 1.6rem}
.case>input{position:absolute;opacity:0;width:1px;height:1px}
.case>label{display:inline-block;padding:.25rem .7rem;margin:0 .35rem .5rem 0;border:1px solid #6b717a;
  border-radius:1rem;cursor:pointer;font-size:.92rem}
.case>input:checked+label{background:#1f5fa8;border-color:#1f5fa8;color:#fff}
.case>input:focus-visible+label{outline:3px solid #f0a000;outline-offset:2px}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:.8rem}
figure{margin:0}
figure img{display:block;width:100%;height:auto;border:1px solid #c9ced6;
  background:repeating-conic-gradient(#f4f5f7 0 25%,#fff 0 50%) 0 0/16px 16px}
img.crisp{image-rendering:pixelated}
figcaption{font-size:.92rem;font-weight:600;padding:.2rem 0}
.s1:checked~.pictures,.s2:checked~.pictures,.s3:checked~.pictures,.s4:checked~.pictures{grid-template-columns:1fr}
.s1:checked~.pictures figure:not(:nth-child(1)),.s2:checked~.pictures figure:not(:nth-child(2)),
.s3:checked~.pictures figure:not(:nth-child(3)),.s4:checked~.pictures figure:not(:nth-child(4)){display:none}
.named{display:flex;align-items:baseline}
.named .swatch{flex:none}
.key{list-style:none;margin:.4rem 0;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;font-size:.95rem}
.key li{overflow-wrap:anywhere}
details{margin:.6rem 0}
summary{cursor:pointer;color:#1f5fa8;font-weight:600}
.hash{font-size:.8rem;overflow-wrap:anywhere}
li{overflow-wrap:anywhere;max-width:75ch}
@media (max-width:600px){
  body{font-size:15px}
  th,td{padding:.25rem .4rem}
  tbody th{position:sticky;left:0;background:#fff}
  tbody th div{max-width:8.5rem}
  svg.bar{width:90px}
}
@media print{.case>label{display:none}section{break-inside:avoid-page}}
"""
