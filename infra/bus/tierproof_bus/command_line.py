"""What `python -m` of a service says of itself."""

import argparse

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tierproof_bus.settings import BusSettings


def read_arguments(module: str, about: str, settings: type[BusSettings]) -> None:
    """Take no arguments but `--help`, which names every setting; ends the program for it (0) and for any other one (2)."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=f"{about} Serves until SIGTERM or SIGINT.",
        epilog="settings, from the environment:\n" + "\n".join(_lines(settings)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()


def _lines(settings: type[BusSettings]) -> list[str]:
    prefix = str(settings.model_config.get("env_prefix", ""))
    return [f"  {_variable(prefix, name, field)}: {_about(field)}" for name, field in settings.model_fields.items()]


def _variable(prefix: str, name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    common = getattr(alias, "choices", None)
    return str(common[0]) if common else f"{prefix}{name.upper()}"


def _about(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        default = "found by itself" if field.default_factory else "required"
    else:
        default = f"default {field.default}"
    return f"{field.description} ({default})" if field.description else default
