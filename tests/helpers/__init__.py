"""What several tests share: models, oracles, places, commands, pages."""
