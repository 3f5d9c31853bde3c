use alloy_primitives::address;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::*;

/// The standard's own test vectors: both open with `testpassword` and hold the same key.
const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

fn pbkdf2_vector() -> Value {
    json!({
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "6087dab2f9fdbbfaddc31a909735c1e6" },
            "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
            "kdf": "pbkdf2",
            "kdfparams": {
                "c": 262144,
                "dklen": 32,
                "prf": "hmac-sha256",
                "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
            },
            "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3
    })
}

fn scrypt_vector() -> Value {
    json!({
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "83dbcc02d8ccb40e466191a123791e0e" },
            "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32,
                "n": 262144,
                "p": 8,
                "r": 1,
                "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"
            },
            "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3
    })
}

fn light(root: &Root, passphrase: &str) -> String {
    seal(root, &passphrase.into(), Effort::Light, &mut StdRng::seed_from_u64(7)).unwrap()
}

fn refused(document: &Value) -> KeystoreError {
    open(&document.to_string(), &"testpassword".into()).unwrap_err()
}

#[test]
fn the_standards_vectors_open() {
    for mut document in [pbkdf2_vector(), scrypt_vector()] {
        let root = open(&document.to_string(), &"testpassword".into()).unwrap();
        let Root::Key(key) = root else { panic!("a phrase out of nowhere") };
        assert_eq!(hex::encode(*key.to_bytes()), SECRET);
        assert_eq!(key.address(), address!("008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b"));

        document["address"] = json!("0x0000000000000000000000000000000000000001");
        assert!(matches!(refused(&document), KeystoreError::Damaged(_)));
    }
}

#[test]
fn a_wrong_passphrase_and_a_changed_byte_open_nothing() {
    let root = Root::Key(PrivateKey::from_bytes(&[9; 32]).unwrap());
    let text = light(&root, "right");
    for passphrase in ["", "Right", "right "] {
        assert_eq!(open(&text, &passphrase.into()).unwrap_err(), KeystoreError::WrongPassphrase);
    }
    let mut document: Value = serde_json::from_str(&text).unwrap();
    for field in ["ciphertext", "mac"] {
        let whole = document["crypto"][field].as_str().unwrap().to_owned();
        let digit = if whole.starts_with('0') { "1" } else { "0" };
        document["crypto"][field] = json!(format!("{digit}{}", &whole[1..]));
        assert_eq!(open(&document.to_string(), &"right".into()).unwrap_err(), KeystoreError::WrongPassphrase);
        document["crypto"][field] = json!(whole);
    }
    // The words have no check of their own; that they lead to the key is theirs.
    let phrase = Root::Phrase(Phrase::from_entropy(&[3; 16]).unwrap());
    let mut document: Value = serde_json::from_str(&light(&phrase, "right")).unwrap();
    document["x-ethers"]["mnemonicCiphertext"] = json!("00".repeat(16));
    assert!(matches!(open(&document.to_string(), &"right".into()).unwrap_err(), KeystoreError::Damaged(_)));
}

#[test]
fn absurd_parameters_are_refused_before_they_cost_anything() {
    let scrypt = |name: &str, value: u64| {
        let mut document = scrypt_vector();
        document["crypto"]["kdfparams"][name] = json!(value);
        refused(&document)
    };
    for (name, value) in
        [("n", 1 << 40), ("n", 1 << 63), ("r", 1 << 20), ("r", u64::MAX), ("p", 1 << 30), ("p", u64::MAX)]
    {
        assert!(matches!(scrypt(name, value), KeystoreError::Absurd { .. }), "{name} = {value}");
    }
    for (name, value) in [("n", 0), ("n", 1), ("n", 262_143), ("r", 0), ("p", 0)] {
        assert!(matches!(scrypt(name, value), KeystoreError::Malformed(_)), "{name} = {value}");
    }
    for dklen in [0, 16, 31, 33, 1 << 40] {
        assert!(matches!(scrypt("dklen", dklen), KeystoreError::Unsupported { what: "dklen", .. }), "{dklen}");
    }
    for (rounds, absurd) in [(0, false), (1 << 40, true), (u64::MAX, true)] {
        let mut document = pbkdf2_vector();
        document["crypto"]["kdfparams"]["c"] = json!(rounds);
        assert_eq!(matches!(refused(&document), KeystoreError::Absurd { .. }), absurd);
    }
    let mut document = pbkdf2_vector();
    document["crypto"]["kdfparams"]["salt"] = json!("00".repeat(300));
    assert!(matches!(refused(&document), KeystoreError::Absurd { .. }));
}

#[test]
fn what_is_no_keystore_of_ours_is_named() {
    let change = |path: &str, value: Value| {
        let mut document = scrypt_vector();
        *document.pointer_mut(path).unwrap() = value;
        refused(&document)
    };
    assert!(matches!(change("/version", json!(1)), KeystoreError::Unsupported { what: "version", .. }));
    assert!(matches!(
        change("/crypto/cipher", json!("aes-128-cbc")),
        KeystoreError::Unsupported { what: "cipher", .. }
    ));
    assert!(matches!(change("/crypto/kdf", json!("argon2id")), KeystoreError::Malformed(_)));
    for path in ["/crypto/ciphertext", "/crypto/mac", "/crypto/cipherparams/iv"] {
        for value in ["", "00", "zz", &"00".repeat(33)] {
            assert!(matches!(change(path, json!(value)), KeystoreError::Malformed(_)), "{path} {value}");
        }
    }
    let mut prf = pbkdf2_vector();
    prf["crypto"]["kdfparams"]["prf"] = json!("hmac-md5");
    assert!(matches!(refused(&prf), KeystoreError::Unsupported { what: "prf", .. }));

    let long = format!("{}{}", scrypt_vector(), " ".repeat(MAX_KEYSTORE));
    assert!(matches!(open(&long, &"testpassword".into()).unwrap_err(), KeystoreError::TooLong(_)));
}

#[test]
fn words_lie_beside_the_key_where_ethers_looks_for_them() {
    let phrase = Phrase::parse("test test test test test test test test test test test junk").unwrap();
    let document: Value = serde_json::from_str(&light(&Root::Phrase(phrase), "p")).unwrap();
    assert_eq!(document["address"], "f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    assert_eq!(document["x-ethers"]["path"], "m/44'/60'/0'/0/0");
    assert_eq!(document["x-ethers"]["version"], "0.1");
    assert_eq!(document["id"].as_str().unwrap().len(), 36);
    // Another program's words for another account: the key counts.
    let mut other = document.clone();
    other["x-ethers"]["path"] = json!("m/44'/60'/1'/0/0");
    assert!(matches!(open(&other.to_string(), &"p".into()).unwrap(), Root::Key(_)));
}

#[test]
fn a_keystore_that_ethers_wrote_opens_with_its_words() {
    let document = json!({
        "address": "58a57ed9d8d624cbd12e2c467d34787555bb1b25",
        "id": "a86f23d5-cc27-4e02-a66a-a4a46d030dbd",
        "version": 3,
        "Crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "296a8d905dd44ddfafd4b7fcd8ec79c9" },
            "ciphertext": "df6d2724c6fce3be95d791a06a7ce1b4f660dc004c459e15949b96159d742cec",
            "kdf": "scrypt",
            "kdfparams": {
                "salt": "5b976aedd3b08ccc9f3dfcbe870ef669cb66dc2b5ae814f27bb951b15d9749f0",
                "n": 1024,
                "dklen": 32,
                "p": 1,
                "r": 8
            },
            "mac": "73793b96e235f1176d1c2675613ff304a2876937acebbd9f26d462fcccdb947f"
        },
        "x-ethers": {
            "client": "ethers/6.17.0",
            "path": "m/44'/60'/0'/0/0",
            "locale": "en",
            "mnemonicCounter": "21cbfde7073a1d8808ea769fd9efe114",
            "mnemonicCiphertext": "b33842d8ffe4c87dcfa551a155c457e1",
            "version": "0.1"
        }
    });
    let Root::Phrase(phrase) = open(&document.to_string(), &"testpassword".into()).unwrap() else { panic!("no words") };
    assert_eq!(phrase.words().expose(), "legal winner thank year wave sausage worth useful legal winner thank yellow");
}

#[test]
fn cut_off_keystores_are_malformed_at_every_byte() {
    let text = scrypt_vector().to_string();
    for end in 0..text.len() {
        assert!(
            matches!(open(&text[..end], &"testpassword".into()).unwrap_err(), KeystoreError::Malformed(_)),
            "{end}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn what_was_sealed_opens_again(key in prop::collection::vec(1u8..=254, 32), words: bool, passphrase in "\\PC{0,20}") {
        let root = match words {
            true => Root::Phrase(Phrase::from_entropy(&key).unwrap()),
            false => Root::Key(PrivateKey::from_bytes(&key).unwrap()),
        };
        let text = light(&root, &passphrase);
        prop_assert!(!text.contains(&hex::encode(&key)));
        let again = open(&text, &passphrase.as_str().into()).unwrap();
        prop_assert_eq!(again.pack(), root.pack());
    }
}

proptest! {
    #![proptest_config(crate::fuzz_cases::fuzz_cases())]

    #[test]
    fn garbage_keystores_cost_nothing(text in "\\PC{0,400}") {
        prop_assert!(open(&text, &"p".into()).is_err());
    }
}
