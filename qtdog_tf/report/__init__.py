"""One self-contained HTML file about runs: headline, curves, flatness, noise, attention, files.

Start from `material.gather`, which reads folders and files, then `sections.make_sections` and
`page.render`, which makes the page.
"""
