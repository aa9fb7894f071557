"""The currencies of ISO 4217 and how many decimals each has.

One table for the database's constraints, the API and the admin. Funds, precious metals and test
codes are left out: nobody pays a bill in them. The Bulgarian lev left the standard in 2026, but
its bills are still being entered.
"""

from __future__ import annotations

from decimal import Decimal

_CODES_BY_DECIMALS: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN
        BZD CAD CDF CHF CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
        GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP
        LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
        NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
        STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER
        ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

#: Code → number of decimals (the minor unit's exponent).
CURRENCIES: dict[str, int] = {
    code: decimals for decimals, codes in _CODES_BY_DECIMALS.items() for code in codes.split()
}

#: The same the other way round, for the database's constraints: decimals → codes in order.
CODES_BY_DECIMALS: dict[int, list[str]] = {
    decimals: sorted(codes.split()) for decimals, codes in _CODES_BY_DECIMALS.items()
}

MOST_DECIMALS = max(CODES_BY_DECIMALS)


def currency_choices() -> list[tuple[str, str]]:
    """For forms and the API's enumeration; a callable, so that no migration lists the codes."""
    return [(code, code) for code in sorted(CURRENCIES)]


def fits(amount: Decimal, currency: str) -> bool:
    """Whether ``amount`` has no more decimals than ``currency``; ``12.500`` fits the euro."""
    return amount == amount.quantize(_unit(currency))


def in_currency(amount: Decimal, currency: str) -> Decimal:
    """``amount`` with exactly the currency's decimals: ``12.5`` euros are ``12.50``."""
    return amount.quantize(_unit(currency))


def _unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-CURRENCIES[currency])
