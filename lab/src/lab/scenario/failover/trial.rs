//! One answer, and one blow in the middle of it.

use std::time::{Duration, Instant};

use super::calm::Usual;
use super::record::Record;
use super::{REDUNDANCY, Trial};
use crate::lab::answer::{Answer, Difference};
use crate::lab::network::{FORM, Network, Question};
use crate::lab::outcome::Failure;

/// How often the blow looks for its victim, when nobody has the role yet.
const LOOK: Duration = Duration::from_millis(10);

/// A blow lasts at least so long, even if the answer is over before: its loss is to be noticed.
const HOLD: Duration = Duration::from_secs(2);

/// How much longer than the bound the lab waits for redundancy, so that a miss has a figure.
const LONGER: u32 = 2;

/// Runs it: waits until the network is whole, asks, strikes, compares, undoes, and waits until it is whole again.
/// `None` if the answer had ended before the blow.
pub(super) async fn run(
    network: &mut Network<'_>,
    trial: Trial,
    question: &Question,
    right: &Answer,
    usual: Usual,
) -> Result<Option<Record>, Failure> {
    network.whole(FORM).await?;
    let asker = network.asker();
    let moment = usual.took.mul_f64(trial.moment);
    let asked = Instant::now();
    let strike = async {
        tokio::time::sleep(moment).await;
        let victim = loop {
            if asked.elapsed() > usual.took * 2 {
                return Ok(None);
            }
            let status = asker.status().await?;
            if let Some(node) = status.at_work(trial.role) {
                break node.node.clone();
            }
            tokio::time::sleep(LOOK).await;
        };
        let at = Instant::now();
        let home = trial.blow.strike(network, &victim).await?;
        Ok::<_, Failure>(Some((at, home, victim)))
    };
    let (answer, struck) = tokio::join!(asker.ask(question), strike);
    let Some((at, home, victim)) = struck? else { return Ok(None) };
    tokio::time::sleep(HOLD.saturating_sub(at.elapsed())).await;
    let restored = Instant::now();
    trial.blow.undo(network, home).await?;
    let started = restored.elapsed();
    let redundancy = started + network.whole_again(REDUNDANCY * LONGER).await?;
    if answer.began + answer.took <= at {
        return Ok(None);
    }
    let before = answer.tokens.iter().filter(|token| answer.began + token.at < at).count();
    let went_on_elsewhere = answer.served_by.iter().any(|node| *node != victim);
    Ok(Some(Record {
        trial,
        before,
        difference: Difference::between(right, &answer),
        pause: answer.pause(usual.first),
        redundancy,
        error: answer.error.clone(),
        accounts: if went_on_elsewhere { answer.served_by.len() } else { 0 },
    }))
}
