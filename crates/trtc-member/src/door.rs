//! The two requests of members that enter with tickets. They block: call them on a thread of your own.
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use trtc_net::{ServerUrl, http};
use trtc_proto::entry::{self, ErrorBody, RoleRequest, RoleResponse, TokenRequest, TokenResponse};
use trtc_types::{Code, Error, Result};

/// How long a request may take, all of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server that takes tickets.
#[derive(Clone, Debug)]
pub struct Door {
    url: String,
    base: ServerUrl,
}

impl Door {
    /// The door of a server.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for what is no address, or without TLS to another machine unless `allow_plain`.
    pub fn new(url: &str, allow_plain: bool) -> Result<Self> {
        Ok(Self { url: url.to_owned(), base: crate::server_url(url, allow_plain)? })
    }

    /// A token for a ticket; the address in the answer is where to go with it.
    ///
    /// # Errors
    /// The server's code and sentence; `NOT_SUPPORTED` from a server that knows no tickets; those of the network.
    pub fn token(&self, request: &TokenRequest, unwanted: &AtomicBool) -> Result<TokenResponse> {
        let answer: TokenResponse = self.ask(entry::TOKEN_PATH, None, &request.to_json(), unwanted)?;
        // What the host gave may have a path, and TLS that ends before the server.
        let here = ServerUrl::parse(&answer.url).is_ok_and(|url| url.authority() == self.base.authority());
        Ok(if here || answer.url.is_empty() { TokenResponse { url: self.url.clone(), ..answer } } else { answer })
    }

    /// Another role or key for the member with that token.
    ///
    /// # Errors
    /// As [`Door::token`].
    pub fn role(&self, token: &str, request: &RoleRequest, unwanted: &AtomicBool) -> Result<RoleResponse> {
        self.ask(entry::ROLE_PATH, Some(token), &request.to_json(), unwanted)
    }

    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        bearer: Option<&str>,
        body: &[u8],
        unwanted: &AtomicBool,
    ) -> Result<T> {
        let answer = http::post_json(&self.base, path, bearer, body, TIMEOUT, unwanted).map_err(unreachable)?;
        if answer.status == 200 {
            let odd = |e| Error::new(Code::SERVER_PROCESS_FAILED, format!("{path}: the answer is not understood: {e}"));
            return serde_json::from_slice(&answer.body).map_err(odd);
        }
        Err(match serde_json::from_slice::<ErrorBody>(&answer.body) {
            Ok(said) if said.code < 0 => {
                Error::new(Code(said.code), said.message.chars().take(500).collect::<String>())
            }
            _ if matches!(answer.status, 404 | 405) => {
                Error::not_supported("the server does not know tickets (no /trtc/v1/token): give an access_token")
            }
            _ => Error::new(Code::SERVER_PROCESS_FAILED, format!("{path}: the server answered HTTP {}", answer.status)),
        })
    }
}

fn unreachable(e: io::Error) -> Error {
    Error::new(Code::CONNECT_SERVER_TIMEOUT, format!("no connection to the server: {e}"))
}
