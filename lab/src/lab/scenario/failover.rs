//! A random member of the route is killed, frozen or cut off at a random moment of an answer, again and again: the
//! reader must get every token there should be, once, after a short pause. And members leave politely, which must not
//! even be felt.

mod blow;
mod calm;
mod record;
mod trial;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use blow::Blow;
use calm::Calm;
use record::Record;

use super::{Settings, as_user, expect_order, note, questions};
use crate::lab::network::{FORM, Network, Pool, Reference, Role};
use crate::lab::outcome::{Failure, Findings, Outcome};
use crate::lab::world::World;

/// The bounds: half of the pauses, nearly all of them, and the time until every place has a spare again.
const PAUSE_P50: Duration = Duration::from_secs(2);
const PAUSE_P95: Duration = Duration::from_secs(5);
const REDUNDANCY: Duration = Duration::from_secs(60);

/// Polite leaves, and how many tokens' time one may pause an answer.
const LEAVES: usize = 9;
const LEAVE_TOKENS: u32 = 2;

/// Tokens of an answer: long enough to be struck in the middle of it.
const TOKENS: u32 = 48;

/// How often a trial is tried again whose answer ended before the blow.
const TRIES: usize = 5;

/// One trial: what is done to whom, and when, as a share of the answer's usual time.
#[derive(Clone, Copy, Debug)]
struct Trial {
    blow: Blow,
    role: Role,
    moment: f64,
}

pub(super) fn run(settings: &Settings) -> Outcome {
    let world = World::build(&settings.plans(), settings.seed)?;
    as_user(&world, async || {
        let pool = Pool::default();
        let reference = Reference::of(&world, &settings.programs, pool, questions::all(TOKENS)).await?;
        let mut network = Network::start(&world, &settings.programs, pool, None).await?;
        network.join_all().await?;
        let formed = network.whole(FORM).await?;
        note(format!("formed after {} s", super::seconds(formed)));
        let mut findings = Findings::default();
        let calm = Calm::of(&network.asker(), &reference, &mut findings).await?;
        calm.print();

        let mut dice = StdRng::seed_from_u64(settings.seed);
        let records = all(&mut network, &reference, &calm, &plan(settings.count, &Blow::SUDDEN, &mut dice)).await?;
        record::print("Losses", &records);
        judge(&records, &mut findings);

        let leaves = all(&mut network, &reference, &calm, &plan(LEAVES, &[Blow::Leave], &mut dice)).await?;
        record::print("Polite leaves", &leaves);
        judge_leaves(&leaves, &calm, &mut findings);
        let status = network.asker().status().await?;
        note(format!("{} failovers and {} handovers, as the orchestrator counts", status.failovers, status.handovers));
        expect_order(&mut findings, &network.leave().await);
        Ok(findings)
    })
}

/// As many trials: every blow on every role equally often, in random order, at random moments.
fn plan(count: usize, blows: &[Blow], dice: &mut StdRng) -> Vec<Trial> {
    let mut pairs: Vec<(Blow, Role)> = blows.iter().flat_map(|blow| Role::ALL.map(|role| (*blow, role))).collect();
    // A count that is no multiple of the pairs leaves some out: let chance say which.
    pairs.shuffle(dice);
    let mut trials: Vec<(Blow, Role)> = pairs.into_iter().cycle().take(count).collect();
    trials.shuffle(dice);
    let trial = |(blow, role)| Trial { blow, role, moment: dice.random_range(0.0..0.95) };
    trials.into_iter().map(trial).collect()
}

async fn all(
    network: &mut Network<'_>,
    reference: &Reference,
    calm: &Calm,
    trials: &[Trial],
) -> Result<Vec<Record>, Failure> {
    let mut records = Vec::new();
    for (number, trial) in trials.iter().enumerate() {
        let (question, right) = reference.pair(number);
        let usual = calm.of_question(number);
        let mut trial = *trial;
        let record = 'tries: {
            for _ in 0..TRIES {
                if let Some(record) = trial::run(network, trial, question, right, usual).await? {
                    break 'tries record;
                }
                trial.moment *= 0.7;
            }
            return Err(Failure::new(format!("{TRIES} answers ended before anything could be done to them")));
        };
        note(format!("{:>3}/{}  {record}", number + 1, trials.len()));
        records.push(record);
    }
    Ok(records)
}

fn judge(records: &[Record], findings: &mut Findings) {
    let sum = record::Sum::of(records);
    let (wrong, pauses) = (sum.difference, &sum.pauses);
    let [p50, p95, max] = [0.5, 0.95, 1.0].map(|share| crate::lab::answer::percentile(pauses, share));
    let redundancy = sum.redundancy.iter().max().copied().unwrap_or_default();
    findings.expect(wrong.lost == 0, format!("{} tokens were lost", wrong.lost));
    findings.expect(wrong.duplicated == 0, format!("{} tokens came twice", wrong.duplicated));
    findings.expect(wrong.changed == 0, format!("{} tokens were changed", wrong.changed));
    findings.expect(wrong.drifted == 0, format!("{} tokens had another log-probability", wrong.drifted));
    findings.expect(p50 <= PAUSE_P50, format!("half of the pauses are longer than {} ms", super::ms(p50)));
    findings.expect(p95 <= PAUSE_P95, format!("one pause in twenty is longer than {} ms", super::ms(p95)));
    findings.expect(redundancy <= REDUNDANCY, format!("a place had no spare for {} s", super::seconds(redundancy)));
    let figures = &mut findings.figures;
    for (key, value) in [
        ("generations", records.len()),
        ("lost", wrong.lost),
        ("duplicated", wrong.duplicated),
        ("changed", wrong.changed),
        ("drifted", wrong.drifted),
    ] {
        figures.add(key, value);
    }
    for (key, value) in [("pause_p50_ms", p50), ("pause_p95_ms", p95), ("pause_max_ms", max)] {
        figures.add(key, super::ms(value));
    }
    figures.add("redundancy_max_s", super::seconds(redundancy));
}

/// A leave is felt where the answer paused longer than two tokens take, and longer than answers do that nothing
/// happens to: the machine has other things to do as well.
fn judge_leaves(leaves: &[Record], calm: &Calm, findings: &mut Findings) {
    let sum = record::Sum::of(leaves);
    let longest = sum.pauses.iter().max().copied().unwrap_or_default();
    let allowed = (calm.token_time() * LEAVE_TOKENS).max(calm.pause());
    let wrong = sum.difference.lost + sum.difference.duplicated + sum.difference.changed;
    findings.expect(wrong == 0, format!("{wrong} tokens were wrong after polite leaves"));
    let what = format!("a polite leave paused an answer for {} ms, not {}", super::ms(longest), super::ms(allowed));
    findings.expect(longest <= allowed, what);
    findings.figures.add("leaves", leaves.len());
    findings.figures.add("leave_wrong", wrong);
    findings.figures.add("leave_pause_max_ms", super::ms(longest));
    findings.figures.add("leave_pause_allowed_ms", super::ms(allowed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blow_falls_on_every_role_equally_often_and_a_seed_repeats_the_plan() {
        let of = |seed| plan(18, &Blow::SUDDEN, &mut StdRng::seed_from_u64(seed));
        let trials = of(7);
        for blow in Blow::SUDDEN {
            for role in Role::ALL {
                let count = trials.iter().filter(|trial| trial.blow == blow && trial.role == role).count();
                assert_eq!(count, 2, "{blow:?} {role:?}");
            }
        }
        assert_eq!(format!("{trials:?}"), format!("{:?}", of(7)));
        assert_ne!(format!("{trials:?}"), format!("{:?}", of(8)));
    }
}
