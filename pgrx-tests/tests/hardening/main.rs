//! What misuse, odd data, locks, restarts and hanging receivers must not do: one test for each way that
//! was once open.

mod backlogs;
mod copies;
mod damage;
mod default_privileges;
mod encoded_history;
mod encodings;
mod fences;
mod filters;
mod hanging;
mod installations;
mod intervals;
mod json;
mod keys;
mod locks;
mod memory;
mod networks;
mod prepared;
mod queues;
mod replicated;
mod restarts;
mod secrets;
mod settings;
mod site;
mod storage;
mod triggers;
mod walks;
