"""Which network an address is in."""

import pytest

from router.plugin.addresses import is_private, is_public


@pytest.mark.parametrize(
    "address, public, private",
    [
        ("93.184.216.34", True, False),
        ("2606:2800:220:1:248:1893:25c8:1946", True, False),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("10.1.2.3", False, True),
        ("172.16.0.9", False, True),
        ("192.168.1.1", False, True),
        ("fd00::1", False, True),
        ("fe80::1%eth0", False, True),
        ("169.254.169.254", False, True),
        ("100.64.0.1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff0e::1", False, False),
        ("255.255.255.255", False, True),
        # Addresses that lead to another one.
        ("::ffff:192.168.0.1", False, True),
        ("::ffff:93.184.216.34", True, False),
    ],
)
def test_each_network_is_known(address: str, public: bool, private: bool) -> None:
    assert (is_public(address), is_private(address)) == (public, private)


@pytest.mark.parametrize(
    "address, public",
    [
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:0a01:0203::1", False),
        ("2002:5db8:d822::1", False),
        ("2001:0:4136:e378:8000:63bf:f5fe:fdfc", False),
    ],
)
def test_a_gateway_is_judged_by_where_it_leads(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("address", ["", "localhost", "127.1", "2130706433", "1.2.3.4.5", "::g"])
def test_what_is_no_number_is_none(address: str) -> None:
    for judge in (is_public, is_private):
        with pytest.raises(ValueError, match="does not appear"):
            judge(address)
