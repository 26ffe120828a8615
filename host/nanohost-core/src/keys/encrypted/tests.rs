use super::*;

fn written() -> String {
    let pem =
        Signer::from_seed([7; 32]).to_encrypted_pem("correct horse", [3; RANDOM]).expect("it is written");
    pem.to_string()
}

#[test]
fn the_passphrase_opens_it_and_no_other() {
    let pem = written();
    assert!(Signer::is_encrypted(&pem) && !pem.contains("-----BEGIN PRIVATE KEY"));
    let key = Signer::from_encrypted_pem(&pem, "correct horse").expect("it opens");
    assert_eq!(key.public(), Signer::from_seed([7; 32]).public());
    for wrong in ["", "correct horse ", "Correct horse", "wrong"] {
        assert_eq!(Signer::from_encrypted_pem(&pem, wrong).map(drop), Err(KeyError::Passphrase));
    }
    assert_eq!(Signer::from_pkcs8_pem(&pem).map(drop), Err(KeyError::Encrypted));
}

/// Made by `openssl pkcs8 -topk8 -v2 aes-256-cbc` (PBKDF2), of the key of RFC 8032's first test vector.
const OPENSSL: &str = include_str!("openssl.pem");

#[test]
fn what_openssl_wrote_is_read() {
    let key = Signer::from_encrypted_pem(OPENSSL, "hunter22").expect("it opens");
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
        0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    assert_eq!(key.public(), Signer::from_seed(seed).public());
}

#[test]
fn what_is_no_such_key_is_refused() {
    let pem = written();
    let plain = Signer::from_seed([7; 32]).to_pkcs8_pem().expect("it is written");
    let cut = format!("{}-----END ENCRYPTED PRIVATE KEY-----\n", &pem[..120]);
    let long = "x".repeat(MAX_PEM + 1);
    for bad in ["", &*plain, &pem[1..], &cut] {
        assert_eq!(Signer::from_encrypted_pem(bad, "correct horse").map(drop), Err(KeyError::NotPrivate));
    }
    assert_eq!(Signer::from_encrypted_pem(&long, "").map(drop), Err(KeyError::TooLong));
}

#[test]
fn a_key_that_costs_too_much_is_not_tried() {
    let costly = |parameters: Parameters| {
        let der = Signer::from_seed([7; 32]).to_pkcs8_pem().expect("it is written");
        let (_, plain) = SecretDocument::from_pem(&der).expect("PEM");
        // Encrypted cheaply, and said to be costly.
        let cheap = PrivateKeyInfoRef::try_from(plain.as_bytes()).expect("a key");
        let cheap = cheap.encrypt_with_params(
            Parameters {
                kdf: Kdf::Scrypt(ScryptParams {
                    salt: [1; 16].as_slice().try_into().expect("a salt"),
                    cost_parameter: 2,
                    block_size: 1,
                    parallelization: 1,
                    key_length: None,
                }),
                encryption: EncryptionScheme::Aes256Cbc { iv: [0; 16] },
            },
            "x",
        );
        let cheap = cheap.expect("it is encrypted");
        let info = EncryptedPrivateKeyInfoRef::try_from(cheap.as_bytes()).expect("a key");
        let info = EncryptedPrivateKeyInfoRef { encryption_algorithm: parameters.into(), ..info };
        let costly = SecretDocument::try_from(info).expect("it is encoded");
        costly.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).expect("PEM")
    };
    let scrypt = |cost_parameter, block_size, parallelization| {
        let salt = [1; 16].as_slice().try_into().expect("a salt");
        let kdf =
            Kdf::Scrypt(ScryptParams { salt, cost_parameter, block_size, parallelization, key_length: None });
        Parameters { kdf, encryption: EncryptionScheme::Aes256Cbc { iv: [0; 16] } }
    };
    for parameters in [scrypt(1 << 40, 8, 1), scrypt(1 << 14, u16::MAX, 1), scrypt(2, 8, u16::MAX)] {
        let pem = costly(parameters);
        assert_eq!(Signer::from_encrypted_pem(&pem, "x").map(drop), Err(KeyError::Costly));
    }
}
