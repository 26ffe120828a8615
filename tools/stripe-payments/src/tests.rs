use nanohost_guest::http::{Request, Response};
use nanohost_guest::{Failure, testing};

use crate::payments::{Payment, Refund, create_payment};
use crate::service::Service;

const PAYMENT: &str = r#"{"id": "pi_3", "object": "payment_intent", "status": "requires_payment_method",
    "amount": 1250, "currency": "eur", "metadata": {"order_id": "A-1"}}"#;
const REFUND: &str =
    r#"{"id": "re_1", "object": "refund", "status": "succeeded", "amount": 250, "currency": "eur"}"#;

/// The service, as long as it answers with that status and body whatever it is asked.
fn answering(status: u16, body: &'static str) -> Service {
    testing::keep_secret("stripe-key", "stands for it");
    testing::serve(move |_| Response::new(status, body));
    Service::at("https://api.stripe.com")
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn calls_are_what_the_service_understands() {
    testing::keep_secret("stripe-key", "stands for it");
    testing::set_call("key of this call", 1);
    testing::serve(|request| {
        assert_eq!(header(request, "authorization"), Some("Bearer stands for it"));
        let body = std::str::from_utf8(request.content()).expect("a form");
        match (request.method(), request.url()) {
            ("POST", "https://api.stripe.com/v1/payment_intents") => {
                assert_eq!(header(request, "idempotency-key"), Some("key of this call"));
                assert_eq!(header(request, "content-type"), Some("application/x-www-form-urlencoded"));
                assert_eq!(body, "amount=1250&currency=eur&metadata%5Border_id%5D=A+1%26amount%3D1");
                Response::new(200, PAYMENT)
            }
            ("GET", "https://api.stripe.com/v1/payment_intents/pi_3") => Response::new(200, PAYMENT),
            ("POST", "https://api.stripe.com/v1/refunds") => {
                assert_eq!(header(request, "idempotency-key"), Some("key of this call"));
                assert_eq!(body, "payment_intent=pi_3&amount=250");
                Response::new(200, REFUND)
            }
            other => panic!("nobody asks for {other:?}"),
        }
    });
    let service = Service::at("https://api.stripe.com");
    let payment = || Payment {
        id: "pi_3".to_owned(),
        status: "requires_payment_method".to_owned(),
        amount: 1250,
        currency: "eur".to_owned(),
    };
    assert_eq!(service.create("A 1&amount=1", 1250, "eur"), Ok(payment()));
    assert_eq!(service.find("pi_3"), Ok(payment()));
    let refund = Refund {
        id: "re_1".to_owned(),
        status: "succeeded".to_owned(),
        amount: 250,
        currency: "eur".to_owned(),
    };
    assert_eq!(service.refund("pi_3", 250), Ok(refund));
}

#[test]
fn what_makes_no_sense_is_not_asked() {
    let service = answering(200, PAYMENT);
    for id in ["", "pi_", "ch_1", "pi_1/../refunds", "pi_1?expand=x", "pi_1%2f"] {
        assert!(matches!(service.find(id), Err(Failure::InvalidInput(_))), "{id:?}");
        assert!(matches!(service.refund(id, 1), Err(Failure::InvalidInput(_))), "{id:?}");
    }
    for (amount, currency) in [(0, "eur"), (1, "EUR"), (1, "euro"), (1, "")] {
        let refused = service.create("A-1", amount, currency);
        assert!(matches!(refused, Err(Failure::InvalidInput(_))), "{amount} {currency:?}");
    }
    assert!(matches!(service.refund("pi_3", 0), Err(Failure::InvalidInput(_))));
}

#[test]
fn what_the_service_answers_is_said() {
    const CARD: &str = r#"{"error": {"code": "charge_already_refunded", "message": "It was refunded."}}"#;
    let refused = answering(400, CARD).refund("pi_3", 1);
    let Err(Failure::InvalidInput(said)) = refused else { panic!("{refused:?}") };
    assert_eq!(said, "the service answers 400: charge_already_refunded: It was refunded.");
    assert!(matches!(answering(401, "").find("pi_3"), Err(Failure::Rejected(_))));
    for status in [409, 429, 500, 503] {
        assert!(matches!(answering(status, "{").find("pi_3"), Err(Failure::Unavailable(_))), "{status}");
    }
    assert!(matches!(answering(200, "{}").find("pi_3"), Err(Failure::Rejected(_))));
}

#[test]
fn without_a_service_nothing_is_asked() {
    answering(200, PAYMENT);
    assert!(matches!(create_payment("A-1".to_owned(), 1, "eur".to_owned()), Err(Failure::Rejected(_))));
}
