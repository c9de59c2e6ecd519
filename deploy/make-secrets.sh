#!/usr/bin/env bash
# Make the secrets of deploy/compose.yaml in deploy/secrets: random passwords, and a certificate for
# PostgreSQL. An existing folder is left as it is. Usage: bash deploy/make-secrets.sh [FOLDER]
set -euo pipefail
umask 077
folder=${1:-$(dirname "$0")/secrets}
server_days=825
bennu_user=10001 # as in deploy/Dockerfile
if [ -e "$folder" ]; then
  echo "$folder exists and is left as it is" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
made=$work/secrets
mkdir "$made"

printf '%s' "$(openssl rand -hex 32)" >"$made/phoenix_secret"
printf '%s' "$(openssl rand -hex 32)" >"$made/database_password"
printf '%s' "$(openssl rand -hex 12)" >"$made/admin_password"

# The key of the authority is thrown away: a renewal makes both certificates anew.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -sha256 -days "$server_days" \
  -subj "/CN=Bennu database authority" -keyout "$work/ca.key" -out "$made/database_ca" \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=database" \
  -keyout "$made/database_key" -out "$work/server.csr" 2>/dev/null
printf 'subjectAltName=DNS:database\nextendedKeyUsage=serverAuth\n' >"$work/extensions"
openssl x509 -req -sha256 -days "$server_days" -in "$work/server.csr" -extfile "$work/extensions" \
  -CA "$made/database_ca" -CAkey "$work/ca.key" -out "$made/database_cert" 2>/dev/null

# Compose mounts each file with its owner and mode. The folder keeps other people of this machine out;
# inside a container the user of Bennu, which is nobody here, must be able to read its own files.
if [ "$(id -u)" = 0 ]; then
  chown "$bennu_user" "$made"/*
else
  chmod 0444 "$made"/*
fi
mv "$made" "$folder"
echo "made $folder; the first password of admin@localhost is in $folder/admin_password"
