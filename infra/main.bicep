// Everything that Sendoff runs on in Azure. `azd up` deploys it; infra/README.md says what each file is.
targetScope = 'subscription'

// Parameters. azd takes them from its environment (main.parameters.json): `azd env set SENDOFF_MAILBOX ...`.
// Lists are written with commas, for that environment holds nothing but text.

@description('Name of this deployment; every resource is named after it.')
@minLength(1)
@maxLength(64)
param environmentName string

// Regions with Flex Consumption, of Azure's public cloud. From Microsoft's own template for it, Azure-Samples,
// functions-quickstart-python-http-azd, infra/main.bicep @0bb0f1062c51 (November 2025), without the canary.
// What has come since: az functionapp list-flexconsumption-locations --output table; add it here.
@description('Region. One with the Functions plan Flex Consumption; az functionapp list-flexconsumption-locations lists them.')
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('The mailbox that mail is sent from, such as noreply@contoso.com; or mail.toml, where that file names the senders.')
@minLength(1)
@maxLength(320)
param mailbox string

@description('The account that signs in, where that is not the mailbox itself (it needs Send As on the mailbox).')
@maxLength(320)
param signInAs string = ''

@description('The tenant of the mailbox: its id or one of its domains.')
@minLength(1)
@maxLength(253)
param tenantId string = tenant().tenantId

@description('Names of the senders, with commas: those of mail.toml, or default for the one mailbox. For the consent URLs that come out.')
@minLength(1)
param senders string = 'default'

@description('What the app proves itself to Entra ID with. managed_identity needs no secret; the other two are made by infra/app-registration.sh.')
@allowed([
  'managed_identity'
  'secret'
  'certificate'
])
param credential string = 'managed_identity'

@description('Client id of an app registration that exists; no other is made then. For those who may not use the Microsoft Graph extension.')
@maxLength(36)
param existingClientId string = ''

@description('Whether the app may also send by itself, without a person: gives it the application permission SMTP.SendAsApp.')
param appOnly bool = false

@description('Base of the app\'s own URLs, where it has a domain of its own; empty for the host name that Azure gives.')
@maxLength(200)
param publicUrl string = ''

@description('Addresses that alerts are sent to, with commas.')
param alertEmails string = ''

@description('How many seconds the oldest mail that may go now can wait before an alert.')
@minValue(60)
@maxValue(604800)
param oldestWaitingSeconds int = 3600

@description('Object ids of the identities of apps that drop mail, with commas: they may write to the outbox and its payloads, and nothing else.')
param mailAppPrincipalIds string = ''

@description('Days that a settled message stays in the ledger.')
@minValue(1)
@maxValue(3650)
param ledgerRetentionDays int = 30

@description('Days that logs and metrics are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

// The limits of a mailbox are kept by all instances together, so this bounds cost, not the rate. 40 is what
// older and newer versions of the plan both take as a maximum.
@description('The most instances that each function scales to.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Memory of an instance.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Whether storage and vault are reached by private endpoints in a virtual network only.')
param vnetEnabled bool = false

@description('Address range of that network, a /24 or larger.')
param vnetAddressPrefix string = '10.101.0.0/24'

// What is wrong with them, all of it in one sentence each. Bicep has no patterns: a text is made of certain
// characters alone when splitting it at each of them leaves one piece more than it has characters.

@description('Whether a text has nothing but letters, digits and the characters given.')
func hasOnly(text string, others array) bool => length(split(toLower(text), concat(others, [
  'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w'
  'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'
]))) == length(text) + 1

@description('Whether a text is a domain with at least one dot.')
func isDomain(text string) bool => hasOnly(text, ['-', '.']) && contains(text, '.') && !startsWith(text, '.') && !endsWith(text, '.') && !contains(text, '..')

@description('Whether a text is the address of one mailbox.')
func isAddress(text string) bool => length(split(text, '@')) == 2 && !empty(first(split(text, '@'))) && isDomain(last(split(text, '@'))) && length(split(text, [' ', '\t', '\r', '\n', ',', ';', '<', '>', '"', '(', ')'])) == 1

@description('Whether a text is a GUID: 8, 4, 4, 4 and 12 hexadecimal digits.')
func isGuid(text string) bool => length(text) == 36 && length(split(text, '-')) == 5 && indexOf(text, '-') == 8 && indexOf(skip(text, 9), '-') == 4 && indexOf(skip(text, 14), '-') == 4 && indexOf(skip(text, 19), '-') == 4 && hasOnly(text, ['-']) && length(split(toLower(text), ['g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z'])) == 1

@description('Whether a text can name a sender in mail.toml and in the vault.')
func isSender(text string) bool => !empty(text) && length(text) <= 80 && hasOnly(text, ['-'])

var hasOneSender = mailbox != 'mail.toml'
var makesRegistration = empty(existingClientId)
var isPublicCloud = environment().name == 'AzureCloud'
var senderNames = map(split(senders, ','), name => trim(name))
var alertAddresses = empty(alertEmails) ? [] : map(split(alertEmails, ','), address => trim(address))
var mailApps = empty(mailAppPrincipalIds) ? [] : map(split(mailAppPrincipalIds, ','), id => trim(id))

// A registration is made in the subscription's tenant, and an identity is trusted within its own only.
var problems = concat(
  !hasOneSender || isAddress(mailbox)
    ? []
    : ['mailbox: "${mailbox}" is not an address; write one such as noreply@contoso.com, or mail.toml where that file names the senders.'],
  empty(signInAs) || isAddress(signInAs)
    ? []
    : ['signInAs: "${signInAs}" is not an address; write the account that signs in, or leave it empty.'],
  hasOneSender || empty(signInAs)
    ? []
    : ['signInAs: with mail.toml it is written there, as sign_in_as of the sender; leave it empty here.'],
  isGuid(tenantId) || isDomain(tenantId)
    ? []
    : ['tenantId: "${tenantId}" is neither a tenant id (a GUID) nor a domain such as contoso.onmicrosoft.com.'],
  !isGuid(tenantId) || toLower(tenantId) == toLower(tenant().tenantId) || (!makesRegistration && credential != 'managed_identity')
    ? []
    : ['tenantId: the subscription is in the tenant ${tenant().tenantId}; for a mailbox of another tenant set existingClientId to a registration there, and credential to secret or certificate.'],
  empty(filter(senderNames, name => !isSender(name)))
    ? []
    : ['senders: a name has letters, digits and hyphens only; these are none: ${join(filter(senderNames, name => !isSender(name)), ', ')}.'],
  empty(existingClientId) || isGuid(existingClientId)
    ? []
    : ['existingClientId: "${existingClientId}" is not a GUID; write the application (client) id of the registration, or leave it empty.'],
  !makesRegistration || isPublicCloud
    ? []
    : ['existingClientId: the Microsoft Graph extension works in the public cloud only; make the registration by infra/app-registration.sh and write its client id here.'],
  !appOnly || makesRegistration
    ? []
    : ['appOnly: it is given to a registration that is made here; give SMTP.SendAsApp to that of existingClientId by hand.'],
  empty(publicUrl) || (startsWith(publicUrl, 'https://') && !endsWith(publicUrl, '/') && length(split(publicUrl, ['?', '#', ' '])) == 1)
    ? []
    : ['publicUrl: "${publicUrl}" is not an address such as https://mail.contoso.com, without a slash at its end.'],
  empty(filter(alertAddresses, address => !isAddress(address)))
    ? []
    : ['alertEmails: these are not addresses: ${join(filter(alertAddresses, address => !isAddress(address)), ', ')}.'],
  empty(filter(mailApps, id => !isGuid(id)))
    ? []
    : ['mailAppPrincipalIds: an object id is a GUID; these are none: ${join(filter(mailApps, id => !isGuid(id)), ', ')}.']
)
// The resource group is what everything else is in, so nothing is made where something is wrong.
var checkedLocation = empty(problems) ? location : fail(join(problems, ' '))

// Names. A hash of subscription, environment and region makes them unique, and the same each time.
var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: checkedLocation
  tags: tags
}

module identity 'app/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-sendoff-${token}'
    location: location
    tags: tags
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-sendoff-${token}'
    applicationInsightsName: 'appi-sendoff-${token}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
  }
}

module storage 'app/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${token}'
    location: location
    tags: tags
    isPrivate: vnetEnabled
  }
}

module vault 'app/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: 'kv-${token}'
    location: location
    tags: tags
    isPrivate: vnetEnabled
  }
}

module network 'app/network.bicep' = if (vnetEnabled) {
  name: 'network'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    addressPrefix: vnetAddressPrefix
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
  }
}

module roles 'app/roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    identityPrincipalId: identity.outputs.principalId
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    outboxQueue: storage.outputs.outboxQueue
    payloadContainer: storage.outputs.payloadContainer
    mailApps: mailApps
  }
}

module functionApp 'app/function.bicep' = {
  name: 'function'
  scope: group
  params: {
    name: 'func-sendoff-${token}'
    planName: 'plan-sendoff-${token}'
    location: location
    tags: union(tags, { 'azd-service-name': 'sendoff' })
    identityId: identity.outputs.id
    deploymentContainerUrl: storage.outputs.deploymentContainerUrl
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    subnetId: vnetEnabled ? network!.outputs.appSubnetId : ''
  }
  dependsOn: [
    // The app reads its package by them.
    roles
  ]
}

var baseUrl = empty(publicUrl) ? 'https://${functionApp.outputs.hostName}' : publicUrl

module registration 'app/registration.bicep' = if (makesRegistration) {
  name: 'registration'
  scope: group
  params: {
    uniqueName: 'sendoff-${token}'
    displayName: 'Sendoff (${environmentName})'
    redirectUri: '${baseUrl}/api/oauth/redirect'
    identityPrincipalId: identity.outputs.principalId
    trustsIdentity: credential == 'managed_identity'
    appOnly: appOnly
  }
}

var clientId = makesRegistration ? registration!.outputs.clientId : existingClientId

module settings 'app/settings.bicep' = {
  name: 'settings'
  scope: group
  params: {
    functionAppName: functionApp.outputs.name
    identityClientId: identity.outputs.clientId
    storageName: storage.outputs.name
    vaultUrl: vault.outputs.url
    outboxQueue: storage.outputs.outboxQueue
    eventsQueue: storage.outputs.eventsQueue
    applicationInsightsConnectionString: monitoring.outputs.connectionString
    tenantId: tenantId
    clientId: clientId
    credential: credential
    mailbox: hasOneSender ? mailbox : ''
    signInAs: signInAs
    publicUrl: publicUrl
    ledgerRetentionDays: ledgerRetentionDays
  }
}

module alerts 'app/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    addresses: alertAddresses
    oldestWaitingSeconds: oldestWaitingSeconds
  }
}

// What comes out. azd writes it to its environment; none of it is a parameter's name there, so that what one
// deployment says never changes the next.

@description('Where a person signs in once for each sender. They want a function key: az functionapp keys list.')
output CONSENT_URLS array = [for name in senderNames: '${baseUrl}/api/oauth/start/${name}']
@description('The page for operators.')
output DASHBOARD_URL string = '${baseUrl}/api/dashboard'
@description('The queue that apps drop mail on.')
output OUTBOX_QUEUE_URL string = storage.outputs.outboxQueueUrl
@description('What the app registration must know, where it was not made here.')
output REDIRECT_URI string = '${baseUrl}/api/oauth/redirect'
@description('The app registration.')
output OAUTH_CLIENT_ID string = clientId
@description('Object id of its enterprise application, which Exchange wants for app-only sending.')
output ENTERPRISE_OBJECT_ID string = makesRegistration ? registration!.outputs.enterpriseObjectId : ''
@description('Object id of the identity, which a registration made elsewhere must trust.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
@description('The vault, for infra/app-registration.sh.')
output KEY_VAULT_NAME string = vault.outputs.name
output STORAGE_ACCOUNT_NAME string = storage.outputs.name
output AZURE_RESOURCE_GROUP string = group.name
output SERVICE_SENDOFF_NAME string = functionApp.outputs.name
output SERVICE_SENDOFF_URI string = baseUrl
