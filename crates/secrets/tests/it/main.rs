//! Keys, key files and sealed values with real files and the real cipher.

#[cfg(test)]
mod key;
#[cfg(test)]
mod key_file;
#[cfg(test)]
mod rekey;
#[cfg(test)]
mod secrecy;
#[cfg(test)]
mod support;
#[cfg(test)]
mod vault;
