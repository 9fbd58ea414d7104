"""Which network an address is in: what somebody else names must not lead into our own."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

#: An IPv4 address in its last 32 bits is what a translating gateway makes a connection to.
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Say whether an address in numbers is one of the public internet.

    False for anything that is not: this machine, private and shared networks, link-local (where
    clouds keep credentials), multicast, reserved, and an IPv6 address that leads to one of those.

    :raises ValueError: if it is no address in numbers.
    """
    known = ip_address(address.partition("%")[0])
    if isinstance(known, IPv6Address):
        if known.sixtofour is not None or known.teredo is not None:
            return False  # tunnels of old, of use to nobody but who wants to go around this
        known = _inside(known) or known
    return known.is_global and not (known.is_multicast or known.is_reserved)


def is_private(address: str) -> bool:
    """Say whether an address in numbers is this machine's or of a private network.

    :raises ValueError: if it is no address in numbers.
    """
    known = ip_address(address.partition("%")[0])
    if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    return (known.is_private or known.is_loopback) and not known.is_unspecified


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Give the IPv4 address that an IPv6 address stands for, if it does."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped
