use std::collections::BTreeSet;

use computepool_core::money::ChainId;

use super::*;

fn plan(owner: Address) -> Plan {
    Plan::new(&Network::known(ChainId::DEVNET).unwrap(), owner).unwrap()
}

#[test]
fn the_same_owner_gets_the_same_addresses_everywhere() {
    let owner = Address::repeat_byte(1);
    let testnet = Plan::new(&Network::known(ChainId::GALILEO).unwrap(), owner).unwrap();
    assert_eq!(AddressBook { chain_id: ChainId::DEVNET, ..testnet.book }, plan(owner).book);
    assert_ne!(plan(Address::repeat_byte(2)).book.superfluid.host, plan(owner).book.superfluid.host);
}

#[test]
fn no_two_steps_share_an_address() {
    let plan = plan(Address::repeat_byte(1));
    let places: BTreeSet<Address> = plan.steps.iter().map(|step| step.at).collect();
    assert_eq!(places.len(), plan.steps.len());
}

#[test]
fn every_address_in_the_book_is_made_by_a_step() {
    let plan = plan(Address::repeat_byte(1));
    let made: BTreeSet<Account> = plan.steps.iter().map(|step| Account(step.at)).collect();
    let book = &plan.book;
    let superfluid = &book.superfluid;
    for account in [
        book.deployer,
        superfluid.host,
        superfluid.governance,
        superfluid.acl,
        superfluid.cfa,
        superfluid.gda,
        superfluid.pool_beacon,
        superfluid.pool,
        superfluid.cfa_forwarder,
        superfluid.gda_forwarder,
        superfluid.super_token,
        superfluid.super_token_factory,
        superfluid.pool_admin_nft,
        book.usdc,
        book.usdcx,
        book.coalition,
        book.session_escrow,
    ] {
        assert!(made.contains(&account), "{account}");
    }
}

#[test]
fn real_money_has_to_be_named() {
    let mut mainnet = Network::known(ChainId::ZEROG).unwrap();
    let owner = Address::repeat_byte(1);
    assert!(matches!(Plan::new(&mainnet, owner), Err(ChainError::Setting { .. })));
    let usdc = Address::repeat_byte(0xcc);
    mainnet.usdc = Usdc::Existing(usdc);
    let plan = Plan::new(&mainnet, owner).unwrap();
    assert_eq!(plan.book.usdc, Account(usdc));
    assert!(plan.steps.iter().all(|step| step.name != "DevUsdc"));
}

#[test]
fn a_book_reads_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("31337.json");
    assert_eq!(AddressBook::read(&path).unwrap(), None);
    let book = plan(Address::repeat_byte(1)).book;
    book.write(&path).unwrap();
    let first = std::fs::read(&path).unwrap();
    assert_eq!(AddressBook::read(&path).unwrap(), Some(book.clone()));
    book.write(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
}
