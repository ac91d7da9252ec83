"""What a user names to be run: a config, or a shipped model alone."""

from pathlib import Path

from workflows.modelling.registry import entry
from workflows.settings.loading import Settings, load_settings, make_settings
from workflows.settings.source import Changes, shipped_configs


def named_settings(config: str | Path, changes: Changes = ()) -> Settings:
    """The settings of a YAML file, of a shipped config, or those with which the shipped model of that name is run where
    nothing else is said. Raises SettingsError with everything that is wrong."""
    name, path = str(config), Path(config)
    if entry(name) is not None and not path.is_file() and name not in shipped_configs():
        return make_settings({"model": {"name": name}}, changes, name=name, source=f"the settings of model {name}")
    return load_settings(path, changes)
