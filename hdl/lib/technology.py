"""Which device a platform is of."""


def on_ecp5(platform: object) -> bool:
    """Without importing a vendor's platform: `hdl` emits Verilog that fits any device."""
    return getattr(platform, "family", None) == "ecp5"


def on_up5k(platform: object) -> bool:
    """Of the iCE40 family the one with multipliers and large memories."""
    return getattr(platform, "device", "").startswith("iCE40UP")
