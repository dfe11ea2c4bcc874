"""Reports: tables and figures from run folders, as an HTML page, Markdown and LaTeX."""
