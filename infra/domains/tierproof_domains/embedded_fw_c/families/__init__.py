"""The skills that are asked for, module by module. Their order is part of what a seed means: append, never insert."""

from tierproof_domains.embedded_fw_c.families import (
    bits,
    choosing,
    codes,
    limits,
    packing,
    saturation,
    scaling,
    streams,
    timing,
    two_steps,
)
from tierproof_domains.embedded_fw_c.skill import Family

FAMILIES: tuple[Family, ...] = tuple(
    family
    for module in (bits, limits, choosing, saturation, scaling, packing, codes, timing, streams, two_steps)
    for family in module.SKILLS.families
)
