// The app's settings: what shared/settings.py, the host and its Python worker read. No secret is among them.

@description('Name of the app.')
param functionAppName string
@description('Client id of the identity.')
param identityClientId string
@description('Name of the storage account.')
param storageName string
@description('Address of the vault.')
param vaultUrl string
@description('The queue that messages come from.')
param outboxQueue string
@description('The queue that events go to.')
param eventsQueue string
@description('Where telemetry goes; it takes none without an identity.')
param applicationInsightsConnectionString string
@description('The tenant of the one mailbox.')
param tenantId string
@description('The app registration of the one mailbox.')
param clientId string
@description('What the app proves itself with.')
param credential string
@description('The one mailbox; empty where mail.toml names the senders.')
param mailbox string
@description('Who signs in for it, where that is another account.')
param signInAs string
@description('Base of the app\'s own URLs; empty for its host name.')
param publicUrl string
@description('Days that a settled message stays in the ledger.')
param ledgerRetentionDays int

resource app 'Microsoft.Web/sites@2024-04-01' existing = {
  name: functionAppName
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

// By its name host and code find the account in the public cloud; elsewhere they are told the addresses.
var storageSettings = environment().name == 'AzureCloud'
  ? {
      AzureWebJobsStorage__accountName: account.name
    }
  : {
      AzureWebJobsStorage__blobServiceUri: account.properties.primaryEndpoints.blob
      AzureWebJobsStorage__queueServiceUri: account.properties.primaryEndpoints.queue
      AzureWebJobsStorage__tableServiceUri: account.properties.primaryEndpoints.table
    }

var commonSettings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  AZURE_CLIENT_ID: identityClientId
  KEY_VAULT_URL: vaultUrl
  OUTBOX_QUEUE: outboxQueue
  EVENTS_QUEUE: eventsQueue
  LEDGER_RETENTION_DAYS: string(ledgerRetentionDays)
  // As many threads as one instance works on messages, and some for HTTP.
  PYTHON_THREADPOOL_THREAD_COUNT: '32'
  PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
  // A trace is kept where the host keeps it; by itself the distribution keeps five a second, and none of the host's.
  OTEL_TRACES_SAMPLER: 'parentbased_always_on'
  // Spans of Sendoff alone: those of every storage call would cost more than they tell, and have addresses in them.
  OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,requests,urllib,urllib3'
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
}

// Without these the app reads mail.toml.
var senderSettings = empty(mailbox)
  ? {}
  : {
      MAILBOX: mailbox
      OAUTH_TENANT_ID: tenantId
      OAUTH_CLIENT_ID: clientId
      OAUTH_CREDENTIAL: credential
    }

var signInSettings = empty(signInAs) ? {} : { SIGN_IN_AS: signInAs }
var urlSettings = empty(publicUrl) ? {} : { PUBLIC_URL: publicUrl }

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(storageSettings, commonSettings, senderSettings, signInSettings, urlSettings)
}
