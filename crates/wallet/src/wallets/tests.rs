use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use computepool_core::money::{B256, U256};
use computepool_core::ports::{Authorization, Purpose, SigningContent, SigningRequest, TokenDomain, Vault};
use computepool_core::{Amount, Asset, ChainId, Fault, FaultCode};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::keystore::KeystoreError;
use crate::limits::Limit;
use crate::spends::SpendError;

const WORDS: &str = "test test test test test test test test test test test junk";
const FIRST: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const NOW: u64 = 1_700_000_000_000;

#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Machine {
    folder: tempfile::TempDir,
    clock: Arc<Hands>,
    wallets: Wallets,
}

fn machine() -> Machine {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands(AtomicU64::new(NOW)));
    let wallets = start(folder.path(), &clock);
    Machine { folder, clock, wallets }
}

fn start(folder: &Path, clock: &Arc<Hands>) -> Wallets {
    let random = Arc::new(Mutex::new(StdRng::seed_from_u64(5)));
    Wallets::with(&folder.join("wallets"), clock.clone(), random, Effort::Light).unwrap()
}

impl Machine {
    fn restart(&mut self) {
        self.wallets = start(self.folder.path(), &self.clock);
    }

    fn set(&self, ms: u64) {
        self.clock.0.store(ms, Ordering::Relaxed);
    }
}

fn name(text: &str) -> WalletName {
    text.parse().unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn pass() -> Passphrase {
    Passphrase::from("open sesame")
}

fn usdc() -> TokenDomain {
    TokenDomain {
        asset: Asset::Usdc,
        name: "USD Coin".to_owned(),
        version: "2".to_owned(),
        chain: ChainId::DEVNET,
        contract: Account::new([0xcc; 20]),
    }
}

fn contracts() -> Contracts {
    Contracts { tokens: vec![usdc()], ..Contracts::default() }
}

fn voucher(from: Account, units: u64, nonce: u8) -> SigningRequest {
    let authorization = Authorization {
        from,
        to: Account::new([9; 20]),
        value: Amount::usdc(units),
        valid_after: 0,
        valid_before: NOW / 1000 + 300,
        nonce: B256::repeat_byte(nonce),
    };
    let content = SigningContent::Authorization { token: usdc(), authorization };
    SigningRequest { account: from, purpose: Purpose::Voucher, content }
}

/// A wallet of the known words in a file, that may spend 10 on vouchers.
fn funded(machine: &Machine) -> Card {
    let main = name("main");
    let card = machine.wallets.create(&main, Keeping::File, Origin::Words(secret(WORDS)), Some(&pass())).unwrap();
    let mut limits = machine.wallets.limits(&main).unwrap();
    limits.set(Limit::flat(Purpose::Voucher, ChainId::DEVNET, Amount::usdc(10)));
    machine.wallets.set_limits(&main, &limits).unwrap();
    card
}

#[test]
fn a_new_wallet_is_found_again_and_opens_with_its_passphrase_alone() {
    let mut machine = machine();
    let card = machine
        .wallets
        .create(&name("main"), Keeping::File, Origin::New(PhraseLength::TwentyFour), Some(&pass()))
        .unwrap();
    assert_eq!((card.words, card.backed_up_ms, card.created_ms), (Some(24), None, NOW));
    machine.restart();
    assert_eq!(machine.wallets.list().unwrap(), std::slice::from_ref(&card));

    let wallet = machine.wallets.wallet(&name("main"), contracts()).unwrap();
    assert!(!wallet.is_unlocked());
    let wrong = wallet.unlock(Some(&"open simsim".into()), None).unwrap_err();
    assert!(matches!(wrong, WalletError::Safe(SafeError::Keystore(KeystoreError::WrongPassphrase))), "{wrong}");
    assert!(matches!(wallet.unlock(None, None).unwrap_err(), WalletError::Safe(SafeError::PassphraseMissing(_))));
    assert!(!wallet.is_unlocked());
    wallet.unlock(Some(&pass()), None).unwrap();
    assert!(wallet.is_unlocked());

    // What lies in the folder names no secret, and the backup is the phrase that opens it again.
    let Backup::Words(words) = machine.wallets.backup(&name("main"), Some(&pass())).unwrap() else { panic!() };
    for file in std::fs::read_dir(machine.folder.path().join("wallets")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(words.expose().split(' ').all(|word| !text.contains(&format!("{word} "))), "{text}");
    }
    let again = machine.wallets.create(&name("again"), Keeping::Memory, Origin::Words(words), None).unwrap();
    assert_eq!(again.accounts, card.accounts);
}

#[test]
fn names_are_used_once_and_nothing_is_written_over() {
    let machine = machine();
    funded(&machine);
    let other = Origin::New(PhraseLength::Twelve);
    let error = machine.wallets.create(&name("main"), Keeping::Memory, other, None).unwrap_err();
    assert!(matches!(error, WalletError::Exists(_)), "{error}");
    // Without its card, as a crash could leave it, the secret is still not written over; it can be adopted.
    std::fs::remove_file(machine.folder.path().join("wallets/main.wallet.json")).unwrap();
    let other = Origin::New(PhraseLength::Twelve);
    let error = machine.wallets.create(&name("main"), Keeping::File, other, Some(&pass())).unwrap_err();
    assert!(matches!(error, WalletError::Safe(SafeError::Exists(_))), "{error}");
    let card = machine.wallets.adopt(&name("main"), Keeping::File, Some(&pass())).unwrap();
    assert_eq!(card.accounts, [FIRST.parse().unwrap()]);
    assert!(machine.wallets.limits(&name("main")).unwrap().spending.is_empty(), "old limits let nothing pass");
}

#[test]
fn keys_and_keystores_are_taken_in_and_given_out() {
    let machine = machine();
    let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let lone = machine.wallets.create(&name("lone"), Keeping::Memory, Origin::Key(secret(key)), None).unwrap();
    assert_eq!((lone.accounts[0].to_string().as_str(), lone.words), (FIRST, None));
    let error = machine.wallets.add_account(&name("lone"), None).unwrap_err();
    assert!(matches!(error, WalletError::SingleKey(_)), "{error}");
    let bad = machine.wallets.create(&name("bad"), Keeping::Memory, Origin::Key(secret("0x12")), None).unwrap_err();
    assert!(matches!(bad, WalletError::NotAKey));
    let new = Origin::New(PhraseLength::Twelve);
    let short = machine.wallets.create(&name("bad"), Keeping::File, new, Some(&"1234567".into())).unwrap_err();
    assert!(matches!(short, WalletError::ShortPassphrase));

    funded(&machine);
    let text = machine.wallets.export_keystore(&name("main"), Some(&pass()), &"another one".into()).unwrap();
    let origin = Origin::Keystore { text: text.clone(), passphrase: "another one".into() };
    let copy = machine.wallets.create(&name("copy"), Keeping::Memory, origin, None).unwrap();
    assert_eq!((copy.accounts[0].to_string().as_str(), copy.words), (FIRST, Some(12)));
    let second = machine.wallets.add_account(&name("copy"), None).unwrap();
    assert_eq!(second.to_string(), "0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
    let origin = Origin::Keystore { text, passphrase: pass() };
    assert!(machine.wallets.create(&name("more"), Keeping::Memory, origin, None).is_err());
}

#[test]
fn a_wallet_is_forgotten_after_its_backup_was_shown_or_by_force() {
    let machine = machine();
    let make = |text: &str| {
        machine.wallets.create(&name(text), Keeping::File, Origin::New(PhraseLength::Twelve), Some(&pass())).unwrap()
    };
    make("main");
    let main = name("main");
    let error = machine.wallets.forget(&main, Forget::BackedUp).unwrap_err();
    assert!(Fault::from(error).hint.unwrap().contains("wallet backup"));

    let Backup::Words(words) = machine.wallets.backup(&main, Some(&pass())).unwrap() else { panic!() };
    let words: Vec<&str> = words.expose().split(' ').collect();
    let question = machine.wallets.backup_question(&main, Some(&pass())).unwrap();
    let BackupQuestion::Words(places) = &question else { panic!() };
    let wrong: Vec<_> = places.iter().map(|_| secret("zebra")).collect();
    assert!(machine.wallets.answer_backup(&main, Some(&pass()), &question, &wrong).is_err());
    let right: Vec<_> = places.iter().map(|place| secret(words[place - 1])).collect();
    machine.wallets.answer_backup(&main, Some(&pass()), &question, &right).unwrap();
    machine.wallets.forget(&main, Forget::BackedUp).unwrap();
    assert!(matches!(machine.wallets.show(&main).unwrap_err(), WalletError::NoWallet(_)));
    assert!(!machine.folder.path().join("wallets/main.keystore.json").exists());

    make("main");
    machine.wallets.forget(&main, Forget::Anyway).unwrap();
    assert!(machine.wallets.list().unwrap().is_empty());
}

#[tokio::test]
async fn a_voucher_is_signed_within_the_limits_across_restarts() {
    let mut machine = machine();
    let card = funded(&machine);
    let account = card.accounts[0];
    let open = |machine: &Machine| {
        let wallet = machine.wallets.wallet(&name("main"), contracts()).unwrap();
        wallet.unlock(Some(&pass()), None).unwrap();
        wallet
    };
    let wallet = open(&machine);
    let first = voucher(account, 6, 1);
    let signature = wallet.sign(&first).await.unwrap();
    let spent = wallet.spent().unwrap();
    assert_eq!(signature.recover_address_from_prehash(&spent.signatures[0].digest).unwrap(), account.0);
    assert_eq!((spent.usage[0].hour, spent.signatures[0].to), (Amount::usdc(6), Some(Account::new([9; 20]))));

    let over = wallet.sign(&voucher(account, 6, 2)).await.unwrap_err();
    assert_eq!(over.code, FaultCode::SpendLimit);
    machine.restart();
    let wallet = open(&machine);
    let over = wallet.sign(&voucher(account, 6, 2)).await.unwrap_err();
    assert_eq!(over.code, FaultCode::SpendLimit);
    // The same voucher again is the same signature, and not spent twice.
    assert_eq!(wallet.sign(&first).await.unwrap(), signature);
    wallet.sign(&voucher(account, 4, 3)).await.unwrap();

    // A limit that another process changes counts at once.
    machine.wallets.set_limits(&name("main"), &Limits::default()).unwrap();
    let none = wallet.sign(&voucher(account, 1, 4)).await.unwrap_err();
    assert!(none.message.contains("there is no limit"), "{none}");
}

#[tokio::test]
async fn a_locked_wallet_signs_nothing_and_locks_itself_in_time() {
    let machine = machine();
    let account = funded(&machine).accounts[0];
    let wallet = machine.wallets.wallet(&name("main"), contracts()).unwrap();
    let code =
        async |wallet: &Wallet, nonce| wallet.sign(&voucher(account, 1, nonce)).await.map_err(|fault| fault.code);
    assert_eq!(code(&wallet, 1).await, Err(FaultCode::WalletLocked));
    wallet.unlock(Some(&pass()), Some(Duration::from_secs(60))).unwrap();
    code(&wallet, 1).await.unwrap();
    assert!(wallet.accounts().await.unwrap()[0].unlocked);
    machine.set(NOW + 60_000);
    assert_eq!(code(&wallet, 2).await, Err(FaultCode::WalletLocked));
    // The keys are gone: setting the clock back does not bring them back.
    machine.set(NOW);
    assert!(!wallet.is_unlocked());
    wallet.unlock(Some(&pass()), Some(Duration::from_secs(60))).unwrap();
    machine.set(NOW - 1);
    assert!(!wallet.is_unlocked(), "a clock before the time of opening");
    machine.set(NOW);
    wallet.unlock(Some(&pass()), None).unwrap();
    wallet.clone().lock();
    assert_eq!(code(&wallet, 2).await, Err(FaultCode::WalletLocked));
    assert_eq!(wallet.spent().unwrap().signatures.len(), 1, "a refusal was counted");
}

#[test]
fn an_exchanged_keystore_opens_nothing() {
    let machine = machine();
    funded(&machine);
    let other = Origin::New(PhraseLength::Twelve);
    machine.wallets.create(&name("other"), Keeping::File, other, Some(&pass())).unwrap();
    let folder = machine.folder.path().join("wallets");
    std::fs::copy(folder.join("other.keystore.json"), folder.join("main.keystore.json")).unwrap();
    let wallet = machine.wallets.wallet(&name("main"), contracts()).unwrap();
    assert!(matches!(wallet.unlock(Some(&pass()), None).unwrap_err(), WalletError::OtherSecret(_)));
    assert!(matches!(machine.wallets.backup(&name("main"), Some(&pass())).unwrap_err(), WalletError::OtherSecret(_)));
}

#[test]
fn without_its_records_nothing_is_signed() {
    let machine = machine();
    let account = funded(&machine).accounts[0];
    let wallet = machine.wallets.wallet(&name("main"), contracts()).unwrap();
    wallet.unlock(Some(&pass()), None).unwrap();
    let folder = machine.folder.path().join("wallets");
    let limits = std::fs::read(folder.join("main.limits.json")).unwrap();
    std::fs::write(folder.join("main.limits.json"), "{}").unwrap();
    assert!(matches!(wallet.sign_now(&voucher(account, 1, 1)).unwrap_err(), WalletError::Damaged { .. }));
    std::fs::write(folder.join("main.limits.json"), limits).unwrap();
    std::fs::remove_file(folder.join("main.spends.jsonl")).unwrap();
    let error = wallet.sign_now(&voucher(account, 1, 1)).unwrap_err();
    assert!(matches!(error, WalletError::Spend(SpendError::Log(_))), "{error}");
    let stranger = wallet.sign_now(&voucher(Account::new([7; 20]), 1, 1)).unwrap_err();
    assert!(matches!(stranger, WalletError::NoAccount { .. }), "{stranger}");
}

#[test]
fn faults_tell_what_to_do_and_nothing_secret() {
    let machine = machine();
    funded(&machine);
    let typed = "correct horse battery staple";
    let errors = [
        machine.wallets.create(&name("a"), Keeping::Memory, Origin::Words(secret(typed)), None).unwrap_err(),
        machine.wallets.create(&name("b"), Keeping::Memory, Origin::Key(secret(typed)), None).unwrap_err(),
        machine.wallets.backup(&name("main"), Some(&typed.into())).unwrap_err(),
    ];
    for error in errors {
        let fault = Fault::from(error);
        assert!(typed.split(' ').all(|word| !format!("{fault:?}").contains(word)), "{fault:?}");
    }
    let limit = Limit::flat(Purpose::Voucher, ChainId::DEVNET, Amount::new(U256::MAX, Asset::Usdc));
    let twice = Limits { spending: vec![limit, limit], ..Limits::default() };
    assert!(machine.wallets.set_limits(&name("main"), &twice).is_err());
}
