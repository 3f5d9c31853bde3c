//! Operators who go away, and operators who ask twice.

use alloy_primitives::U256;
use computepool_core::ports::{Chain, SessionPhase, Toll};
use computepool_core::{Account, FaultCode, GenerationId, LayerRange};
use computepool_payments::Serving;

use crate::contracts::{Coalition, Pool, Session, Usdc};
use crate::world::{World, asked};

async fn pool(world: &World, session: Account) -> Account {
    Account(world.ask(session, &Session::poolCall {}).await)
}

/// So many of the pool's 80,000 units of what was paid: exactly, as nothing is ever rounded.
fn share(paid: U256, units: u64) -> U256 {
    let (share, rest) = (paid * U256::from(units)).div_rem(U256::from(80_000));
    assert!(rest.is_zero());
    share
}

#[tokio::test]
async fn who_leaves_in_mid_stream_is_paid_until_the_stand_in_is() {
    let world = World::new().await;
    let people = world.people.clone();
    let (session, admission) = world.opened().await;
    let generation = GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    world.reaches(session, SessionPhase::Streaming).await;
    let on = async |seconds| {
        for _ in 0..seconds {
            world.pass(1).await;
            world.toll.progressed(generation).unwrap();
        }
    };
    on(10).await;
    world.does(people.second, world.devnet.book.coalition, &Coalition::resignCall { id: world.coalition.0 }).await;
    on(11).await;
    // New sessions wait until the place is taken; this one goes on.
    assert!(!world.meter.coalition(world.coalition).await.unwrap().open);
    assert_eq!(world.toll.quote(&asked(), None).await.unwrap_err().code, FaultCode::NoRoute);

    let holds = |start, end, operator| Serving { layers: LayerRange::new(start, end).unwrap(), operator };
    let serving = [holds(0, 5, people.first), holds(5, 8, people.stand_in)];
    assert_eq!(world.toll.pay_who_serves(world.coalition, &serving).await.unwrap(), 1);
    assert_eq!(world.toll.pay_who_serves(world.coalition, &serving).await.unwrap(), 0, "it is done");
    let pool = pool(&world, session).await;
    let leaver = world.received(pool, people.second).await;
    on(11).await;
    world.toll.quote(&asked(), None).await.unwrap();
    world.toll.ended(generation);
    world.reaches(session, SessionPhase::Paused).await;
    let bill = world.closes(&admission).await;

    let paid = bill.paid_out.units;
    assert_eq!(world.received(pool, people.first).await, share(paid, 48_750));
    assert_eq!(world.received(pool, people.author).await, share(paid, 2_000));
    let came = world.received(pool, people.stand_in).await;
    assert_eq!(world.received(pool, people.second).await, leaver, "who left gets nothing more, and keeps what it has");
    assert_eq!(leaver + came, share(paid, 29_250));
    let second_s = share(bill.rate.units, 29_250);
    assert!(leaver >= second_s * U256::from(20) && came >= second_s * U256::from(10), "{leaver} {came}");
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn who_claims_twice_is_paid_once() {
    let world = World::new().await;
    let people = world.people.clone();
    let (session, admission) = world.opened().await;
    let pool = pool(&world, session).await;
    let generation = GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    world.reaches(session, SessionPhase::Streaming).await;
    world.pass(10).await;
    world.toll.progressed(generation).unwrap();
    let claim = Pool::claimAllCall { member: people.first.0 };
    // While it streams, for oneself and for others.
    for who in [people.first, people.first, people.stranger] {
        world.does(who, pool, &claim).await;
    }
    world.toll.ended(generation);
    let bill = world.closes(&admission).await;
    let has = async || {
        let question = Usdc::balanceOfCall { account: people.first.0 };
        world.ask(world.devnet.book.usdcx, &question).await
    };
    world.does(people.first, pool, &claim).await;
    let once = has().await;
    world.does(people.first, pool, &claim).await;
    world.does(people.stranger, pool, &claim).await;
    assert_eq!(has().await, once);
    assert_eq!(once, share(bill.paid_out.units, 48_750));
    assert_eq!(world.assert_adds_up().await.len(), 1);
}
