//! Exact sums of one asset.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

use super::{Asset, MoneyError, decimal};

/// So many units of an asset. Sums are checked: nothing wraps, nothing is rounded, and no two assets are mixed.
///
/// ```
/// use computepool_core::{Amount, Asset};
///
/// let voucher: Amount = "1.25 USDC".parse().unwrap();
/// assert_eq!(voucher.units.to_string(), "1250000");
/// assert_eq!(voucher.convert(Asset::Usdcx).unwrap().to_string(), "1.25 USDCx");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// In the asset's smallest unit; decimal text wherever it is written down.
    #[serde(with = "decimal")]
    pub units: U256,
    /// Of what.
    pub asset: Asset,
}

impl Amount {
    /// So many units.
    pub fn new(units: U256, asset: Asset) -> Self {
        Self { units, asset }
    }

    /// Nothing.
    pub fn zero(asset: Asset) -> Self {
        Self::new(U256::ZERO, asset)
    }

    /// So many of USDC's smallest units (millionths).
    pub fn usdc(units: u64) -> Self {
        Self::new(U256::from(units), Asset::Usdc)
    }

    /// So many wei of USDCx.
    pub fn usdcx(wei: u128) -> Self {
        Self::new(U256::from(wei), Asset::Usdcx)
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.units.is_zero()
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        let sum = self.units.checked_add(other.units);
        sum.map(|units| Self::new(units, self.asset)).ok_or_else(|| too_large(self, other))
    }

    /// What is left when `other` is taken away.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        let rest = self.units.checked_sub(other.units);
        rest.map(|units| Self::new(units, self.asset)).ok_or(MoneyError::Negative { from: self, taken: other })
    }

    /// What is left when `other` is taken away, and nothing where that is more than there is.
    pub fn less(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        Ok(Self::new(self.units.saturating_sub(other.units), self.asset))
    }

    /// So many times as much.
    pub fn times(self, factor: u64) -> Result<Self, MoneyError> {
        let product = self.units.checked_mul(U256::from(factor));
        product.map(|units| Self::new(units, self.asset)).ok_or_else(|| too_large(self, factor))
    }

    /// All of them together; nothing, of `asset`, where there are none.
    pub fn sum(asset: Asset, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(asset), Self::plus)
    }

    /// The same sum as USDC or USDCx; refused where the other asset has too few decimals for it.
    pub fn convert(self, to: Asset) -> Result<Self, MoneyError> {
        let (whole, rest) = self.split(to)?;
        if rest.is_zero() { Ok(whole) } else { Err(MoneyError::Inexact { amount: self, to }) }
    }

    /// The largest sum of `to` that is in it, and what that leaves of itself: what unwrapping gives, and the dust.
    pub fn split(self, to: Asset) -> Result<(Self, Self), MoneyError> {
        if self.asset != to && (self.asset == Asset::Native || to == Asset::Native) {
            return Err(MoneyError::Unrelated { from: self.asset, to });
        }
        let (from, into) = (self.asset.decimals(), to.decimals());
        if into >= from {
            let scaled = self.units.checked_mul(power_of_ten(into - from));
            let units = scaled.ok_or_else(|| too_large(self, format!("more, as {to}")))?;
            return Ok((Self::new(units, to), Self::zero(self.asset)));
        }
        let (whole, rest) = self.units.div_rem(power_of_ten(from - into));
        Ok((Self::new(whole, to), Self::new(rest, self.asset)))
    }

    /// Reads an amount without its symbol: `12`, `0.5`. No sign, no exponent, no more decimals than the asset has.
    pub fn parse(text: &str, asset: Asset) -> Result<Self, MoneyError> {
        read(text, asset).map(|units| Self::new(units, asset)).map_err(|why| MoneyError::Unreadable {
            text: text.chars().take(100).collect(),
            asset: asset.symbol(),
            why,
        })
    }

    /// The amount without its symbol, with no more decimals than it needs.
    pub fn to_decimal(&self) -> String {
        let (whole, rest) = self.units.div_rem(power_of_ten(self.asset.decimals()));
        if rest.is_zero() {
            return whole.to_string();
        }
        let decimals = format!("{:0>width$}", rest.to_string(), width = usize::from(self.asset.decimals()));
        format!("{whole}.{}", decimals.trim_end_matches('0'))
    }

    fn same(self, other: Self) -> Result<(), MoneyError> {
        if self.asset == other.asset { Ok(()) } else { Err(MoneyError::Mixed { left: self.asset, right: other.asset }) }
    }
}

fn read(text: &str, asset: Asset) -> Result<U256, &'static str> {
    let places = usize::from(asset.decimals());
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if text.ends_with('.') {
        return Err("digits should follow the point");
    }
    if decimals.len() > places {
        return Err("it has more decimals than the asset");
    }
    if !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it should have nothing but digits and one point");
    }
    let whole = decimal::parse(whole)?;
    let decimals = U256::from_str_radix(&format!("{decimals:0<places$}"), 10).map_err(|_| "it is too large")?;
    let scaled = whole.checked_mul(power_of_ten(asset.decimals()));
    scaled.and_then(|units| units.checked_add(decimals)).ok_or("it is too large")
}

fn power_of_ten(exponent: u8) -> U256 {
    U256::from(10).pow(U256::from(exponent))
}

fn too_large(left: Amount, right: impl fmt::Display) -> MoneyError {
    MoneyError::Overflow { left: left.to_string(), right: right.to_string() }
}

/// Amounts of different assets have no order.
impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.asset == other.asset).then(|| self.units.cmp(&other.units))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal(), self.asset)
    }
}

impl FromStr for Amount {
    type Err = MoneyError;

    /// As it is shown: `1.25 USDC`.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (number, symbol) = text.split_once(' ').ok_or_else(|| MoneyError::Unreadable {
            text: text.chars().take(100).collect(),
            asset: "any asset",
            why: "the asset should follow after a space",
        })?;
        Self::parse(number, symbol.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usdc(text: &str) -> Amount {
        Amount::parse(text, Asset::Usdc).unwrap()
    }

    #[test]
    fn text_goes_both_ways() {
        for text in ["0 USDC", "1 USDC", "0.000001 USDC", "1234567.89 USDCx", "0.000000000000000001 USDCx", "5 native"]
        {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
        }
        assert_eq!(usdc("1.50").to_string(), "1.5 USDC");
        assert_eq!("2.5 usdcX".parse::<Amount>().unwrap(), Amount::usdcx(2_500_000_000_000_000_000));
        let most = Amount::new(U256::MAX, Asset::Usdcx);
        assert_eq!(most.to_string().parse::<Amount>().unwrap(), most);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let long = "9".repeat(200);
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000001", "01", "1.2.3", "0x10", " 1", "1_0", &long]
        {
            assert!(Amount::parse(text, Asset::Usdc).is_err(), "{text:?}");
        }
        for text in ["1", "1  USDC", "1 EUR", "USDC 1", "1.0000001 USDC"] {
            assert!(text.parse::<Amount>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let (one, most) = (Amount::usdc(1), Amount::new(U256::MAX, Asset::Usdc));
        assert_eq!(usdc("0.1").plus(usdc("0.2")).unwrap(), usdc("0.3"));
        assert!(matches!(most.plus(one), Err(MoneyError::Overflow { .. })));
        assert!(matches!(most.times(2), Err(MoneyError::Overflow { .. })));
        assert!(matches!(one.minus(usdc("1")), Err(MoneyError::Negative { .. })));
        assert!(one.less(usdc("1")).unwrap().is_zero());
        assert!(matches!(one.plus(Amount::usdcx(1)), Err(MoneyError::Mixed { .. })));
        assert_eq!(one.partial_cmp(&Amount::usdcx(1)), None);
        assert!(one < usdc("1"));
    }

    #[test]
    fn wrapping_is_exact_and_dust_is_kept_apart() {
        let wrapped = Amount::usdc(1).convert(Asset::Usdcx).unwrap();
        assert_eq!(wrapped, Amount::usdcx(1_000_000_000_000));
        assert_eq!(wrapped.convert(Asset::Usdc).unwrap(), Amount::usdc(1));
        let odd = Amount::usdcx(1_000_000_000_007);
        assert!(matches!(odd.convert(Asset::Usdc), Err(MoneyError::Inexact { .. })));
        assert_eq!(odd.split(Asset::Usdc).unwrap(), (Amount::usdc(1), Amount::usdcx(7)));
        assert!(matches!(odd.convert(Asset::Native), Err(MoneyError::Unrelated { .. })));
        assert!(Amount::new(U256::MAX, Asset::Usdc).convert(Asset::Usdcx).is_err());
    }

    #[test]
    fn it_is_written_down_as_decimal_text() {
        let json = serde_json::to_string(&usdc("2.5")).unwrap();
        assert_eq!(json, r#"{"units":"2500000","asset":"usdc"}"#);
        assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), usdc("2.5"));
        for bad in ["2500000", r#""0x5""#, r#""-1""#, r#""1.5""#, r#""007""#, r#""""#] {
            let json = format!(r#"{{"units":{bad},"asset":"usdc"}}"#);
            assert!(serde_json::from_str::<Amount>(&json).is_err(), "{bad}");
        }
        let wire = postcard::to_allocvec(&usdc("2.5")).unwrap();
        assert_eq!(postcard::from_bytes::<Amount>(&wire).unwrap(), usdc("2.5"));
    }
}
