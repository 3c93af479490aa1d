// The storage account: queues, tables and containers, made before the app's first message. No keys.

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param name string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Whether it is reached by private endpoints only.')
param isPrivate bool

var outbox = 'outbox'
var events = 'mail-events'
var payloads = 'mail-payloads'
var deployments = 'deployments'
// The host adds -poison to a queue's name for what it gave up on.
var queueNames = [outbox, '${outbox}-poison', events]
var containerNames = [payloads, 'mail-templates', 'mail-dead-letters', deployments]
var tableNames = ['ledger', 'waiting', 'senders', 'consents', 'leases', 'schedules']

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [
  for container in containerNames: {
    parent: blobService
    name: container
    properties: {
      publicAccess: 'None'
    }
  }
]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' = [
  for queue in queueNames: {
    parent: queueService
    name: queue
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2024-01-01' = [
  for table in tableNames: {
    parent: tableService
    name: table
  }
]

output name string = account.name
output outboxQueue string = outbox
output eventsQueue string = events
output payloadContainer string = payloads
output outboxQueueUrl string = '${account.properties.primaryEndpoints.queue}${outbox}'
output deploymentContainerUrl string = '${account.properties.primaryEndpoints.blob}${deployments}'
