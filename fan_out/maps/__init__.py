"""The map: one activity over many items, bounded, retried, with every item's outcome. See docs/map.md."""
