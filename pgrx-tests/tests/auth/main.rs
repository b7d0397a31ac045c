//! Authentication to receivers, and TLS, against receivers that are not ours: openssl where it is about TLS.

mod certificates;
mod headers;
mod oauth;
mod openssl;
mod pki;
mod privileges;
mod scene;
mod settings;
mod tls;
