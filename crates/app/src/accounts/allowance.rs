//! Limits in the words of people: `5usdc/day`.

use std::str::FromStr;

use computepool_core::money::ChainId;
use computepool_core::ports::Purpose;
use computepool_core::{Amount, Asset, Fault, FaultCode};
use computepool_wallet::{Limit, Limits};

/// How much may be spent in which time, as `5usdc/day`, or `1usdc/payment,3usdc/hour,5usdc/day`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    payment: Amount,
    hour: Amount,
    day: Amount,
}

impl Allowance {
    /// The limit of a purpose on a chain that this amounts to.
    pub fn limit(self, purpose: Purpose, chain: ChainId) -> Limit {
        Limit { purpose, chain, per_signature: self.payment, per_hour: self.hour, per_day: self.day }
    }

    /// Of what.
    pub fn asset(self) -> Asset {
        self.day.asset
    }
}

impl FromStr for Allowance {
    type Err = Fault;

    /// Parts with a comma between two, each an amount and `payment`, `hour` or `day`; a day where none is said. A time for
    /// which nothing is said gets as much as the next longer one; without a day, a day has 24 of its hours.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let bad = |why: &str| {
            let shown: String = text.chars().take(60).collect();
            // All of it in one sentence: command lines show the message alone of what they cannot read.
            let what = format!("{shown:?} is not a limit: {why}; say it like 5usdc/day, or 1usdc/payment,5usdc/day");
            Fault::new(FaultCode::InvalidRequest, what)
        };
        let mut said = [None; 3];
        for part in text.split(',') {
            let (sum, span) = part.trim().split_once('/').unwrap_or((part.trim(), "day"));
            let place = match span.trim() {
                "payment" => 0,
                "hour" => 1,
                "day" => 2,
                _ => return Err(bad("after the stroke stands payment, hour or day")),
            };
            let amount = amount(sum).map_err(|fault| bad(&fault.message))?;
            if said[place].replace(amount).is_some() {
                return Err(bad("a time is named twice"));
            }
        }
        let day = match said {
            [_, _, Some(day)] => day,
            [_, Some(hour), None] => hour.times(24)?,
            _ => return Err(bad("it does not say how much in a day")),
        };
        let hour = said[1].unwrap_or(day);
        let payment = said[0].unwrap_or(hour);
        if hour.asset != day.asset || payment.asset != day.asset {
            return Err(bad("it names more than one asset"));
        }
        if hour > day || payment > hour {
            return Err(bad("a shorter time has more than a longer one"));
        }
        Ok(Self { payment, hour, day })
    }
}

/// An amount with its asset's name, with or without a space between: `5usdc`, `0.1 native`.
pub(super) fn amount(text: &str) -> Result<Amount, Fault> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, symbol) = text.split_at(split);
    if symbol.is_empty() {
        let what = format!("{text:?} does not say of what: add usdc, usdcx or native, as in 5usdc");
        return Err(Fault::new(FaultCode::InvalidRequest, what));
    }
    Ok(Amount::parse(number.trim(), symbol.parse()?)?)
}

impl Allowance {
    /// Reads an amount as people write one: `5usdc`, `0.1 native`.
    pub fn amount(text: &str) -> Result<Amount, Fault> {
        amount(text)
    }
}

/// Limits that suit what somebody does, so that nobody has to think of every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Pays for answers: 5 USDC a day for vouchers, and 50 a day to be sent.
    Payer,
    /// Earns: stakes and sends 100 USDC a day.
    Operator,
    /// Runs an orchestrator: pays the gas of all its sessions, and sends 100 USDC a day.
    Orchestrator,
    /// Deploys, and pays a trial session.
    Deployer,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::Payer, Self::Operator, Self::Orchestrator, Self::Deployer];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Payer => "payer",
            Self::Operator => "operator",
            Self::Orchestrator => "orchestrator",
            Self::Deployer => "deployer",
        }
    }

    /// Its limits, in whole USDC and thousandths of the coin a day.
    fn sums(self) -> &'static [(Purpose, u64, u64)] {
        match self {
            Self::Payer => &[(Purpose::Voucher, 5, 0), (Purpose::Transfer, 50, 100)],
            Self::Operator => {
                &[(Purpose::Transfer, 100, 100), (Purpose::Stake, 100, 100), (Purpose::Coalition, 0, 100)]
            }
            Self::Orchestrator => &[
                (Purpose::Session, 0, 5_000),
                (Purpose::Keeper, 0, 1_000),
                (Purpose::Coalition, 0, 1_000),
                (Purpose::Transfer, 100, 100),
            ],
            Self::Deployer => &[
                (Purpose::Deployment, 0, 5_000),
                (Purpose::Voucher, 1, 0),
                (Purpose::Session, 0, 1_000),
                (Purpose::Coalition, 0, 1_000),
                (Purpose::Transfer, 100, 100),
            ],
        }
    }

    /// Puts its limits in the place of those for the same purposes on a chain.
    pub fn set(self, limits: &mut Limits, chain: ChainId) {
        for (purpose, usdc, thousandths) in self.sums() {
            let coin = Amount::new(computepool_core::money::U256::from(*thousandths), Asset::Native);
            let coin = coin.times(1_000_000_000_000_000).unwrap_or(coin);
            for amount in [Amount::usdc(usdc * 1_000_000), coin] {
                if !amount.is_zero() {
                    limits.set(Limit::flat(*purpose, chain, amount));
                }
            }
        }
    }
}

impl FromStr for Preset {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|preset| preset.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Fault::new(FaultCode::InvalidRequest, format!("{text:?} is no preset: say one of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Result<Limit, Fault> {
        text.parse::<Allowance>().map(|allowance| allowance.limit(Purpose::Voucher, ChainId::DEVNET))
    }

    #[test]
    fn limits_are_said_as_people_say_them() {
        let flat = limit("5usdc/day").unwrap();
        assert_eq!(flat, Limit::flat(Purpose::Voucher, ChainId::DEVNET, Amount::usdc(5_000_000)));
        assert_eq!(limit(" 5 USDC ").unwrap(), flat);
        let steps = limit("1usdc/payment, 5usdc/day, 2.5usdc/hour").unwrap();
        let sums = [steps.per_signature, steps.per_hour, steps.per_day].map(|sum| sum.to_decimal());
        assert_eq!(sums, ["1", "2.5", "5"]);
        let hourly = limit("0.5native/hour").unwrap();
        assert_eq!(
            (hourly.per_day.to_string(), hourly.per_signature.to_string()),
            ("12 native".into(), "0.5 native".into())
        );
    }

    #[test]
    fn limits_that_contradict_themselves_are_refused() {
        for text in [
            "",
            "5",
            "5/day",
            "5eur/day",
            "5usdc/week",
            "1usdc/payment",
            "6usdc/hour,5usdc/day",
            "5usdc/day,5usdc/day",
            "1usdcx/hour,5usdc/day",
            "-5usdc/day",
            "5usdc/day,",
        ] {
            let fault = limit(text).unwrap_err();
            assert!(fault.message.contains("5usdc/day"), "{text}: {fault}");
        }
    }

    #[test]
    fn every_preset_can_be_kept() {
        for preset in Preset::ALL {
            assert_eq!(preset.name().parse::<Preset>().unwrap(), preset);
            let mut limits = Limits::default();
            preset.set(&mut limits, ChainId::GALILEO);
            preset.set(&mut limits, ChainId::GALILEO);
            limits.check().unwrap();
            assert!(limits.spending.iter().all(|limit| limit.chain == ChainId::GALILEO));
            assert!(limits.of(Purpose::Transfer, ChainId::GALILEO, Asset::Native).is_some(), "gas");
        }
    }
}
