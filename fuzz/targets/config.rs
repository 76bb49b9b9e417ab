//! The server's configuration file: read, shown and read again; no refusal tells a secret.
use trtc_server::config::Settings;

/// What a file may have in it that nobody may read in a log.
const SECRET: &str = "a-secret-of-thirty-two-characters";

/// The file, with `@` for the secret.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace('@', SECRET);
    let settings = match Settings::parse(&text) {
        Ok(settings) => settings,
        Err(error) => return tells_nothing(&error.to_string()),
    };
    let shown = settings.show();
    assert!(!shown.starts_with("# cannot"), "{shown}");
    match settings.config() {
        Ok(config) => assert!(!config.api_key.is_empty() && config.max_rooms > 0 && config.max_members > 0),
        Err(error) => tells_nothing(&error.to_string()),
    }
}

fn tells_nothing(message: &str) {
    assert!(!message.is_empty() && !message.contains(SECRET), "{message}");
}
