-- What queues authenticate with to their receivers. The secret part of it is in hooks.secret.

create table hooks.auth (
  queue_id              bigint not null,
  scheme                text not null,
  header                text,
  username              text,
  token_url             text,
  client_id             text,
  scope                 text,
  audience              text,
  client_authentication text,
  certificate           text,
  updated_at            timestamptz not null default now(),
  constraint auth_pkey
    primary key (queue_id, scheme),
  constraint auth_of_a_queue
    foreign key (queue_id) references hooks.queue (id) on delete cascade,
  constraint known_scheme
    check (scheme in ('bearer', 'basic', 'api_key', 'oauth2', 'certificate'))
);

create unique index one_credential_in_a_header on hooks.auth (queue_id)
  where scheme <> 'certificate';

comment on table hooks.auth is 'What queues authenticate with, without the secrets. Set it with hooks.use_bearer() and its kin, remove it with hooks.remove_auth().';
comment on column hooks.auth.queue_id is 'The queue.';
comment on column hooks.auth.scheme is 'bearer, basic, api_key or oauth2, of which a queue has one, and certificate.';
comment on column hooks.auth.header is 'api_key: the header that carries the key.';
comment on column hooks.auth.username is 'basic: the user name.';
comment on column hooks.auth.token_url is 'oauth2: the token endpoint.';
comment on column hooks.auth.client_id is 'oauth2: who asks for a token.';
comment on column hooks.auth.scope is 'oauth2: the scopes that are asked for, separated by blanks; null for those that the endpoint gives by itself.';
comment on column hooks.auth.audience is 'oauth2: for whom the token is to be; null where the endpoint does not ask.';
comment on column hooks.auth.client_authentication is 'oauth2: basic or body, which is how id and secret are sent to the token endpoint.';
comment on column hooks.auth.certificate is 'certificate: the chain that is shown, in PEM, the client''s own first.';
comment on column hooks.auth.updated_at is 'When it was set.';
