#!/bin/sh
# Creates or repairs Sendoff's app registration with the Azure CLI, for tenants where the Microsoft Graph Bicep
# extension may not be used, or where a client secret or a certificate is wanted.
#
# POSIX sh (dash, bash, busybox). What is right already is left alone, so it can be run again at any time.
# A client secret goes from Entra straight into the vault: it is in no argument, no file and no environment
# variable, and is printed nowhere.
set -eu
# A secret is in a variable of this shell for a moment; a trace would print it.
set +x

usage() {
  cat <<'END'
usage: infra/app-registration.sh --public-url URL CREDENTIAL [options]

  --public-url URL             where the app is, such as https://mail.contoso.com

CREDENTIAL is one of
  --managed-identity ID        principal (object) id of the app's user-assigned identity: no secret at all
  --secret --vault NAME        a client secret, stored in the vault with its expiry
  --certificate --vault NAME   a certificate made in the vault; its public half is registered

options
  --name NAME                  of the registration (Sendoff)
  --client-id ID               the registration itself, where several have that name
  --service NAME               in mail.toml (microsoft): oauth-<service>-client-secret
  --days N                     how long a secret lives, 1 to 730 (180)
  --renew                      a new secret or certificate, even if the one there is good
  --dry-run                    say what would be done, and do none of it
END
}

fail() {
  printf '%s\n' "app-registration: $1" >&2
  exit 1
}

# --- What is asked for ---------------------------------------------------------------------------------------

public_url='' credential='' identity='' vault='' name='Sendoff' client_id='' service='microsoft' days=180
renew=no dry_run=no

one_credential() {
  [ -z "$credential" ] || fail "name one of --managed-identity, --secret and --certificate"
  credential=$1
}

while [ $# -gt 0 ]; do
  case $1 in
    --public-url | --managed-identity | --vault | --name | --client-id | --service | --days)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --public-url) public_url=${2%/} ;;
        --managed-identity) one_credential identity && identity=$2 ;;
        --vault) vault=$2 ;;
        --name) name=$2 ;;
        --client-id) client_id=$2 ;;
        --service) service=$2 ;;
        --days) days=$2 ;;
      esac
      shift 2
      ;;
    --secret | --certificate) one_credential "${1#--}" && shift ;;
    --renew) renew=yes && shift ;;
    --dry-run) dry_run=yes && shift ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail "$1 is not known" ;;
  esac
done

is_guid() {
  printf '%s\n' "$1" |
    grep -Eiq '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
}

matches() {
  printf '%s\n' "$2" | grep -Eq "$1"
}

matches '^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?$' "$public_url" ||
  fail "--public-url: write an address such as https://mail.contoso.com"
matches "^[A-Za-z0-9 ._-]{1,120}$" "$name" || fail "--name: letters, digits, spaces and . _ - only"
matches '^[A-Za-z0-9-]{1,80}$' "$service" || fail "--service: the name in mail.toml has letters, digits and - only"
[ -z "$client_id" ] || is_guid "$client_id" || fail "--client-id: it is no GUID"
case $credential in
  identity) is_guid "$identity" || fail "--managed-identity: write the principal (object) id of the identity, a GUID" ;;
  secret | certificate)
    matches '^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$' "$vault" || fail "--vault: write the name of the Key Vault"
    ;;
  *) usage >&2 && fail "name one of --managed-identity, --secret and --certificate" ;;
esac
if ! matches '^[1-9][0-9]{0,2}$' "$days" || [ "$days" -gt 730 ]; then
  # Entra takes no more than 24 months.
  fail "--days: write a number from 1 to 730"
fi
command -v az >/dev/null || fail "the Azure CLI (az) is not here: https://aka.ms/azure-cli"

# --- How it is done ------------------------------------------------------------------------------------------

redirect_uri=$public_url/api/oauth/redirect
# Microsoft Graph, and of it the delegated permissions SMTP.Send and User.Read.
graph=00000003-0000-0000-c000-000000000000
smtp_send=258f6531-6087-4cc4-bb90-092c5fb3ed3f
user_read=e1fe6dd8-ba31-4d61-89e7-88639da4683d
# A credential that ends sooner than this is replaced.
spare_days=30
changes=0

# Says what is done; false in a dry run, where it must not be.
change() {
  changes=$((changes + 1))
  if [ "$dry_run" = yes ]; then
    printf '%s\n' "would  $1"
    return 1
  fi
  printf '%s\n' "do     $1"
}

right() {
  printf '%s\n' "ok     $1"
}

# The date N days from now, YYYY-MM-DD: POSIX has no arithmetic on dates.
in_days() {
  date -u '+%Y %m %d' | awk -v days="$1" '{
    y = $1; m = $2; d = $3 + days
    while (1) {
      split("31 28 31 30 31 30 31 31 30 31 30 31", of, " ")
      if ((y % 4 == 0 && y % 100 != 0) || y % 400 == 0) of[2] = 29
      if (d <= of[m + 0]) break
      d -= of[m + 0]; m++
      if (m > 12) { m = 1; y++ }
    }
    printf "%04d-%02d-%02d", y, m, d
  }'
}

# Whether a date and time (as Entra and the vault write it) is further away than what must be left.
lasts() {
  [ -n "$1" ] && expr "x$1" '>' "x$(in_days "$spare_days")" >/dev/null
}

tenant=$(az account show --query tenantId --output tsv) || fail "nobody is signed in: az login --tenant <tenant>"
cloud=$(az cloud show --query name --output tsv)
case $cloud in
  AzureCloud) login=https://login.microsoftonline.com audience=api://AzureADTokenExchange ;;
  AzureUSGovernment) login=https://login.microsoftonline.us audience=api://AzureADTokenExchangeUSGov ;;
  AzureChinaCloud) login=https://login.partner.microsoftonline.cn audience=api://AzureADTokenExchangeChina ;;
  *) fail "the cloud $cloud is not known here; az cloud set --name AzureCloud" ;;
esac

# --- The registration ----------------------------------------------------------------------------------------

if [ -z "$client_id" ]; then
  client_id=$(az ad app list --filter "displayName eq '$name'" --query '[].appId' --output tsv)
  [ "$(printf '%s\n' "$client_id" | wc -l)" -le 1 ] ||
    fail "several registrations are called $name; choose one with --client-id"
fi
if [ -z "$client_id" ]; then
  if change "create the registration $name"; then
    client_id=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg \
      --web-redirect-uris "$redirect_uri" --is-fallback-public-client false \
      --enable-access-token-issuance false --enable-id-token-issuance false \
      --required-resource-accesses "[{\"resourceAppId\":\"$graph\",\"resourceAccess\":[
        {\"id\":\"$smtp_send\",\"type\":\"Scope\"},{\"id\":\"$user_read\",\"type\":\"Scope\"}]}]" \
      --query appId --output tsv)
    # Entra's copies take a few seconds to hear of it.
    tries=0
    until az ad app show --id "$client_id" --output none 2>/dev/null; do
      tries=$((tries + 1))
      [ "$tries" -lt 20 ] || fail "Entra does not show the new registration $client_id yet; run this again in a minute"
      sleep 3
    done
  else
    printf '%s\n' "would  make its service principal and its credential ($credential)"
    exit 0
  fi
else
  right "the registration $name is there: $client_id"
fi

# Asks one thing of the registration; the answer is a word, or lines.
ask() {
  az ad app show --id "$client_id" --query "$1" --output tsv
}

if [ "$(ask signInAudience)" = AzureADMyOrg ]; then
  right "it is for this tenant alone"
elif change "make it single tenant"; then
  az ad app update --id "$client_id" --sign-in-audience AzureADMyOrg --output none
fi

if ask '[spa.redirectUris, publicClient.redirectUris][]' | grep -Fxq "$redirect_uri"; then
  # There it would need no credential, and Entra would refuse ours (AADSTS700025).
  fail "$redirect_uri stands under another platform than Web; remove it there (portal, Authentication)"
fi
redirects=$(ask 'web.redirectUris[]')
if printf '%s\n' "$redirects" | grep -Fxq "$redirect_uri"; then
  right "its redirect URI is $redirect_uri"
elif change "add the redirect URI $redirect_uri (platform Web)"; then
  # Others are kept: a second deployment may stand on the same registration. URIs have no spaces.
  # shellcheck disable=SC2086
  az ad app update --id "$client_id" --web-redirect-uris $redirects "$redirect_uri" --output none
fi

open_doors=$(ask '[web.implicitGrantSettings.[enableAccessTokenIssuance, enableIdTokenIssuance], isFallbackPublicClient][]')
if ! printf '%s\n' "$open_doors" | grep -iq true; then
  right "implicit grants and public clients are off"
elif change "switch implicit grants and public clients off"; then
  az ad app update --id "$client_id" --enable-access-token-issuance false --enable-id-token-issuance false \
    --is-fallback-public-client false --output none
fi

permissions=$(ask "requiredResourceAccess[?resourceAppId=='$graph'].resourceAccess[] | [?type=='Scope'].id")
for each in "SMTP.Send $smtp_send" "User.Read $user_read"; do
  if printf '%s\n' "$permissions" | grep -Fxq "${each#* }"; then
    right "it asks for ${each% *}"
  elif change "add the delegated permission ${each% *}"; then
    az ad app permission add --id "$client_id" --api "$graph" --api-permissions "${each#* }=Scope" \
      --only-show-errors --output none
  fi
done

# --- The service principal: what the portal calls the enterprise application ---------------------------------

enterprise=$(az ad sp list --filter "appId eq '$client_id'" --query '[].id' --output tsv)
if [ -n "$enterprise" ]; then
  right "its service principal is there: $enterprise"
elif change "create its service principal"; then
  enterprise=$(az ad sp create --id "$client_id" --query id --output tsv)
fi

# --- What it proves itself with ------------------------------------------------------------------------------

federate() {
  issuer=$login/$tenant/v2.0
  found=$(az ad app federated-credential list --id "$client_id" --output tsv \
    --query "[?subject=='$identity' && issuer=='$issuer' && contains(audiences, '$audience')].name")
  if [ -n "$found" ]; then
    right "it trusts the managed identity $identity"
    return
  fi
  trust="{\"name\":\"sendoff\",\"issuer\":\"$issuer\",\"subject\":\"$identity\",\"audiences\":[\"$audience\"]}"
  named=$(az ad app federated-credential list --id "$client_id" --query "[?name=='sendoff'].name" --output tsv)
  if [ -n "$named" ]; then
    change "mend the federated credential, which names another identity, issuer or audience" || return 0
    az ad app federated-credential update --id "$client_id" --federated-credential-id sendoff \
      --parameters "$trust" --output none
  else
    change "let it trust the managed identity $identity" || return 0
    az ad app federated-credential create --id "$client_id" --parameters "$trust" --output none
  fi
}

make_secret() {
  secret_name=oauth-$service-client-secret
  # The tag of the vault's secret names the credential at Entra that it is the value of.
  held="[?name=='$secret_name' && attributes.enabled].tags.credential | [0]"
  held=$(az keyvault secret list --vault-name "$vault" --query "$held" --output tsv) ||
    fail "the vault $vault does not let you list secrets; you need Key Vault Secrets Officer there"
  end=''
  if [ -n "$held" ]; then
    end=$(az ad app credential list --id "$client_id" --query "[?displayName=='$held'].endDateTime | [0]" --output tsv)
  fi
  if [ "$renew" = no ] && lasts "$end"; then
    right "the vault has its client secret, which lasts until $end"
    return
  fi
  change "make a client secret for $days days and store it as $secret_name in the vault $vault" || return 0
  credential_name=sendoff-$service-$(date -u +%Y%m%d%H%M%S)
  end=$(in_days "$days")T00:00:00Z
  secret=$(az ad app credential reset --id "$client_id" --append --display-name "$credential_name" \
    --end-date "$end" --query password --output tsv --only-show-errors)
  # printf is the shell's own, so the value is in no process's arguments; the vault reads it from the pipe.
  if printf '%s' "$secret" | az keyvault secret set --vault-name "$vault" --name "$secret_name" --file /dev/stdin \
    --encoding utf-8 --expires "$end" --content-type text/plain --tags "credential=$credential_name" --output none; then
    secret=''
  else
    secret=''
    key=$(az ad app credential list --id "$client_id" --query "[?displayName=='$credential_name'].keyId | [0]" --output tsv)
    az ad app credential delete --id "$client_id" --key-id "$key" --output none
    fail "the vault $vault did not take the secret, so it was removed from the registration again"
  fi
  printf '%s\n' "       it ends on $end; older ones can be deleted at Entra in ten minutes:" \
    "       az ad app credential list --id $client_id"
}

make_certificate() {
  certificate=oauth-$service-certificate
  there=$(az keyvault certificate list --vault-name "$vault" --query "[?name=='$certificate'].name" --output tsv) ||
    fail "the vault $vault does not let you list certificates; you need Key Vault Certificates Officer there"
  thumbprint='' end=''
  if [ -n "$there" ]; then
    thumbprint=$(az keyvault certificate show --vault-name "$vault" --name "$certificate" \
      --query x509ThumbprintHex --output tsv)
    end=$(az keyvault certificate show --vault-name "$vault" --name "$certificate" \
      --query attributes.expires --output tsv)
  fi
  if [ "$renew" = no ] && lasts "$end"; then
    right "the vault has its certificate, which lasts until $end"
  else
    change "make the certificate $certificate in the vault $vault" || return 0
    # It is not renewed by itself: the vault would then sign with one that Entra does not know.
    az keyvault certificate create --vault-name "$vault" --name "$certificate" --output none --policy "{
      \"issuerParameters\":{\"name\":\"Self\"},
      \"keyProperties\":{\"exportable\":true,\"keyType\":\"RSA\",\"keySize\":3072,\"reuseKey\":false},
      \"secretProperties\":{\"contentType\":\"application/x-pem-file\"},
      \"lifetimeActions\":[{\"action\":{\"actionType\":\"EmailContacts\"},\"trigger\":{\"daysBeforeExpiry\":$spare_days}}],
      \"x509CertificateProperties\":{\"subject\":\"CN=sendoff-$service\",\"validityInMonths\":12}}"
    thumbprint=$(az keyvault certificate show --vault-name "$vault" --name "$certificate" \
      --query x509ThumbprintHex --output tsv)
  fi
  registered=$(az ad app credential list --id "$client_id" --cert --query '[].customKeyIdentifier' --output tsv)
  if printf '%s\n' "$registered" | grep -Fixq "$thumbprint"; then
    right "its public half is registered"
  elif change "register its public half"; then
    az ad app credential reset --id "$client_id" --append --keyvault "$vault" --cert "$certificate" \
      --display-name "sendoff-$service" --only-show-errors --output none
  fi
}

case $credential in
  identity) federate ;;
  secret) make_secret ;;
  certificate) make_certificate ;;
esac

# --- What comes of it ----------------------------------------------------------------------------------------

printf '%s\n' '' "client_id (mail.toml, OAUTH_CLIENT_ID)      $client_id" \
  "tenant (mail.toml, OAUTH_TENANT_ID)         $tenant" \
  "enterprise object id (infra/exchange.ps1)   ${enterprise:-not there yet}"
case $changes-$dry_run in
  0-*) printf '%s\n' "nothing was to be changed" ;;
  *-yes) printf '%s\n' "a dry run: $changes to be changed, nothing done" ;;
  *) printf '%s\n' "$changes changed" ;;
esac
