"""Currencies by their codes (ISO 4217), and the codes as small numbers for arrays. Pure."""

from __future__ import annotations

_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF "
    "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK "
    "MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR "
    "SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES "
    "VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
)
CURRENCIES = frozenset(_CODES.split())
"""Codes of money that goods are priced in: neither metals nor units of account."""


def number_of_currency(code: str) -> int:
    """1 to 17,576 of a code of three capitals, the same for ever; 0 for ""."""
    number = 0
    for letter in code:
        number = number * 26 + ord(letter) - ord("A")
    return number + 1 if code else 0


def currency_of_number(number: int) -> str:
    """Inverse of `number_of_currency`."""
    if not number:
        return ""
    rest, letters = number - 1, ""
    for _ in range(3):
        rest, letter = divmod(rest, 26)
        letters = chr(ord("A") + letter) + letters
    return letters
