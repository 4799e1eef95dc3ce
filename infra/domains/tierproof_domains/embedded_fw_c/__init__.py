"""Domain `embedded-fw-c`: one plain C function on integers, wished for in a sentence that holds its prototype."""

from tierproof_domains.embedded_fw_c.families import FAMILIES
from tierproof_domains.embedded_fw_c.generating import KIND, items
from tierproof_domains.embedded_fw_c.judging import check, check_many, shape_of

__all__ = ["FAMILIES", "KIND", "check", "check_many", "items", "shape_of"]
