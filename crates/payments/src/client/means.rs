//! What a payer has, knows and allows.

use std::fmt;
use std::sync::Arc;

use computepool_core::ports::{SessionTerms, TokenDomain};
use computepool_core::{Account, Amount, ChainId};

use super::demand::{Demand, Offer};
use super::error::{PayError, Unfit, shown};

/// Where sessions' money lies, by their terms, as the payer works it out for itself.
#[derive(Clone)]
pub struct Escrow {
    /// On which chain.
    pub chain: ChainId,
    account: Arc<dyn Fn(&SessionTerms) -> Account + Send + Sync>,
}

/// What a payer has, knows and allows.
#[derive(Clone, Debug)]
pub struct Means {
    /// Who pays.
    pub account: Account,
    /// The tokens that it pays with, from the address books of its chains. No other is signed for, whatever it is called.
    pub tokens: Vec<TokenDomain>,
    /// The most that one payment may cost. Tokens of other assets are not paid with.
    pub most: Amount,
    /// Pays nobody but sessions of this escrow that name the payer: what is not used comes back from there, whatever the
    /// server does. Without it any account that a server names is paid, as x402 has it.
    pub sessions: Option<Escrow>,
}

impl Escrow {
    /// One that works out accounts with `account`.
    pub fn new(chain: ChainId, account: impl Fn(&SessionTerms) -> Account + Send + Sync + 'static) -> Self {
        Self { chain, account: Arc::new(account) }
    }

    /// Whether an offer is to a session of `payer`'s, and to nothing else.
    fn check(&self, offer: &Offer, amount: Amount, payer: Account) -> Result<(), Unfit> {
        let terms = offer.session(amount).ok_or(Unfit::NoSession("it names no terms that can be read"))?;
        if terms.payer != payer {
            return Err(Unfit::NoSession("it does not say that the rest goes back to this payer"));
        }
        if offer.chain != self.chain || offer.pay_to != (self.account)(&terms) {
            return Err(Unfit::NoSession("no session with these terms has this account"));
        }
        Ok(())
    }
}

impl fmt::Debug for Escrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Escrow").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Means {
    /// The cheapest way to pay that these means allow, of equals the server's first; with the token as the payer knows it.
    pub fn choose<'a>(&'a self, demand: &'a Demand) -> Result<(&'a Offer, &'a TokenDomain), PayError> {
        let mut best: Option<(&Offer, &TokenDomain)> = None;
        let mut why = Vec::new();
        for offer in &demand.offers {
            match offer.as_ref().map_err(Clone::clone).and_then(|offer| Ok((offer, self.fits(offer)?))) {
                Ok((offer, token)) if best.is_none_or(|(other, _)| offer.units < other.units) => {
                    best = Some((offer, token));
                }
                Ok(_) => {}
                Err(unfit) => why.push(unfit),
            }
        }
        best.ok_or(PayError::NothingFits(why))
    }

    /// The token of an offer, if that can be taken.
    fn fits(&self, offer: &Offer) -> Result<&TokenDomain, Unfit> {
        let Offer { chain, contract, .. } = *offer;
        let known =
            |token: &&TokenDomain| (token.chain, token.contract, token.asset) == (chain, contract, self.most.asset);
        let token = self.tokens.iter().find(known).ok_or(Unfit::UnknownToken { chain, contract })?;
        // Who gives a token another name would get a signature that the token refuses.
        for (said, known) in [(&offer.name, &token.name), (&offer.version, &token.version)] {
            if let Some(said) = said.as_ref().filter(|said| *said != known) {
                return Err(Unfit::OtherName { contract, said: shown(said) });
            }
        }
        let asked = Amount::new(offer.units, token.asset);
        if asked.units > self.most.units {
            return Err(Unfit::TooDear { asked, most: self.most });
        }
        if let Some(escrow) = &self.sessions {
            escrow.check(offer, asked, self.account)?;
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use computepool_core::{Asset, ChainId, Fault, FaultCode};
    use serde_json::Value;

    use super::*;

    fn token(chain: u64, contract: u8) -> TokenDomain {
        TokenDomain {
            asset: Asset::Usdc,
            name: "USD Coin".into(),
            version: "2".into(),
            chain: ChainId(chain),
            contract: Account::new([contract; 20]),
        }
    }

    fn means() -> Means {
        let usdcx = TokenDomain { asset: Asset::Usdcx, ..token(5, 9) };
        Means {
            account: Account::new([1; 20]),
            tokens: vec![token(5, 2), token(6, 2), usdcx],
            most: Amount::usdc(1_000),
            sessions: None,
        }
    }

    fn offer(chain: u64, contract: u8, units: u64) -> Offer {
        Offer {
            chain: ChainId(chain),
            contract: Account::new([contract; 20]),
            units: U256::from(units),
            pay_to: Account::new([4; 20]),
            timeout_s: 60,
            name: Some("USD Coin".into()),
            version: None,
            said: Value::Null,
        }
    }

    fn chosen(offers: Vec<Result<Offer, Unfit>>) -> Result<(ChainId, U256), PayError> {
        let demand = Demand { error: None, offers, resource: None };
        means().choose(&demand).map(|(offer, token)| (token.chain, offer.units))
    }

    #[test]
    fn the_cheapest_that_is_known_and_allowed_is_chosen() {
        let offers = [offer(7, 2, 1), offer(5, 2, 1_000), offer(6, 2, 900), offer(5, 2, 900), offer(5, 9, 1)];
        assert_eq!(chosen(offers.map(Ok).to_vec()).unwrap(), (ChainId(6), U256::from(900)));
    }

    #[test]
    fn a_person_is_told_why_nothing_is_paid() {
        let dear = chosen(vec![Ok(offer(5, 2, 1_001))]).unwrap_err();
        assert_eq!(Fault::from(dear.clone()).code, FaultCode::SpendLimit);
        assert!(dear.to_string().contains("0.001001 USDC"), "{dear}");
        let renamed = Offer { name: Some("Other".into()), ..offer(5, 2, 1) };
        let all = vec![Ok(renamed), Ok(offer(5, 3, 1)), Ok(offer(5, 9, 1)), Err(Unfit::Scheme("upto".into()))];
        let error = chosen(all).unwrap_err();
        assert_eq!(Fault::from(error.clone()).code, FaultCode::PaymentRequired);
        assert!(error.to_string().contains("\"Other\"") && error.to_string().ends_with("and 1 more"), "{error}");
        assert!(chosen(Vec::new()).unwrap_err().to_string().contains("no way"));
    }
}
