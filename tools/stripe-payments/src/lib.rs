//! Takes payments and pays them back with a service that speaks Stripe's API
//! (<https://docs.stripe.com/api>). Holds no key: the host puts it into the request.

#[nanohost_guest::tool]
pub mod payments {
    use nanohost_guest::Failure;
    use serde::Deserialize;

    use super::service::Service;

    /// A payment as the service knows it.
    #[derive(Debug, PartialEq, Deserialize)]
    pub struct Payment {
        pub id: String,
        /// The service's own word: `requires_payment_method`, `processing`, `succeeded`, `canceled`, …
        pub status: String,
        /// In the smallest unit of the currency.
        pub amount: u64,
        pub currency: String,
    }

    /// Money that goes back.
    #[derive(Debug, PartialEq, Deserialize)]
    pub struct Refund {
        pub id: String,
        /// The service's own word: `pending`, `succeeded`, `failed`, …
        pub status: String,
        pub amount: u64,
        pub currency: String,
    }

    /// Asks for an amount, for an order.
    pub fn create_payment(order_id: String, amount: u64, currency: String) -> Result<Payment, Failure> {
        Service::granted()?.create(&order_id, amount, &currency)
    }

    /// How a payment stands.
    pub fn find_payment(payment_id: String) -> Result<Payment, Failure> {
        Service::granted()?.find(&payment_id)
    }

    /// Pays some of a payment back.
    pub fn refund_payment(payment_id: String, amount: u64) -> Result<Refund, Failure> {
        Service::granted()?.refund(&payment_id, amount)
    }
}

mod service;
#[cfg(test)]
mod tests;
