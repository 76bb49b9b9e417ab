//! STUN and TURN servers for clients that cannot reach us directly.
use crate::config::IceServerSettings;
use trtc_proto::livekit::IceServer;
use trtc_proto::turn;

/// What a member is told. `name` goes into credentials that end; servers log it.
pub fn servers(settings: &[IceServerSettings], name: &str, now_unix_s: u64) -> Vec<IceServer> {
    let server = |settings: &IceServerSettings| {
        let (username, credential) = match &settings.shared_secret {
            Some(secret) => turn::credential(secret.reveal(), now_unix_s + settings.lifetime_s.secs(), name),
            None => {
                let credential = settings.credential.as_ref().map(|secret| secret.reveal().to_owned());
                (settings.username.clone().unwrap_or_default(), credential.unwrap_or_default())
            }
        };
        IceServer { urls: settings.urls.clone(), username, credential }
    };
    settings.iter().map(server).collect()
}

/// The same as values of `Link` headers (RFC 9725 4.6), one for each address.
pub fn links(servers: &[IceServer]) -> Vec<String> {
    let of_server = |server: &IceServer| {
        let [user, credential] = [&server.username, &server.credential].map(|text| quoted(text));
        let rights = format!("; username={user}; credential={credential}; credential-type=\"password\"");
        let rights = if server.username.is_empty() { String::new() } else { rights };
        let urls = server.urls.iter();
        urls.map(|url| format!("<{url}>; rel=\"ice-server\"{rights}")).collect::<Vec<_>>()
    };
    servers.iter().flat_map(of_server).collect()
}

/// A quoted string of HTTP (RFC 9110 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn fixed_and_ending_credentials() {
        let text = "[keys]\nk = 'a-secret-of-thirty-two-characters'\n\
             [[ice_servers]]\nurls = ['stun:a']\n\
             [[ice_servers]]\nurls = ['turn:a']\nusername = 'u'\ncredential = 'c'\n\
             [[ice_servers]]\nurls = ['turn:b', 'turns:b?transport=tcp']\nshared_secret = 's'\nlifetime_s = 100\n";
        let config = Settings::parse(text).unwrap().config().unwrap();
        let told = servers(&config.ice_servers, "PA_x", 1000);
        assert_eq!(
            (told[0].urls[0].as_str(), told[0].username.as_str(), told[0].credential.as_str()),
            ("stun:a", "", "")
        );
        assert_eq!((told[1].username.as_str(), told[1].credential.as_str()), ("u", "c"));
        assert_eq!(told[2].urls.len(), 2);
        assert_eq!(told[2].username, "1100:PA_x");
        let links = links(&told);
        assert_eq!(links.len(), 4);
        assert_eq!(links[0], "<stun:a>; rel=\"ice-server\"");
        assert_eq!(
            links[1],
            "<turn:a>; rel=\"ice-server\"; username=\"u\"; credential=\"c\"; credential-type=\"password\""
        );
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}
