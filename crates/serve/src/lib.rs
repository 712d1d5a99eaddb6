//! Answers readers: REST, WebSocket, SQL, and a small live page; owns every outward form of the house's data.
//!
//! It sees the house only through the doors of `tables`: it computes no candle, opens no file and knows no venue.

mod allowed;
mod dto;
mod house;
mod live;
mod meters;
mod refusal;
mod rest;
mod server;
mod settings;

pub use allowed::AllowedIps;
pub use meters::describe as describe_metrics;
pub use server::{Error, Port, Server, start};
pub use settings::{Doors, ServeSettings};

/// The OpenAPI document of the REST interface: pretty JSON, the same bytes every time.
pub fn openapi() -> String {
    rest::document::openapi()
}
