"""The pages of docs/companions in the navigation, in front of the reference, where there are any."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Called when the configuration is read."""
    pages = sorted(Path(config.docs_dir, "companions").glob("*.md"))
    if pages and config.nav:
        config.nav.insert(2, {"Companions": [f"companions/{page.name}" for page in pages]})
    return config
