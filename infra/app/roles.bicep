// Who may do what, no wider than the code needs. A name is made of scope, principal and role, so a second
// deployment finds what the first one made.

@description('Object id of the app\'s identity.')
param identityPrincipalId string
@description('Name of the storage account.')
param storageName string
@description('Name of the vault.')
param vaultName string
@description('Name of Application Insights.')
param applicationInsightsName string
@description('The queue that apps drop mail on.')
param outboxQueue string
@description('The container of large messages and files.')
param payloadContainer string
@description('Object ids of the identities of apps that drop mail.')
param mailApps array

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var roleIds = {
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageQueueDataMessageSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  keyVaultSecretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: account
  name: 'default'
}

resource payloads 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: blobService
  name: payloadContainer
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' existing = {
  parent: account
  name: 'default'
}

resource outbox 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' existing = {
  parent: queueService
  name: outboxQueue
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

// The outbox, its poison queue and the events: reading, writing and, where one is missing, making it
// (shared/adapters/storage_queue.py). The host takes messages and counts them with it.
resource queueRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, identityPrincipalId, roleIds.storageQueueDataContributor)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageQueueDataContributor)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// The ledger, what waits, senders, consents, leases and schedules (shared/adapters/table_client.py).
resource tableRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, identityPrincipalId, roleIds.storageTableDataContributor)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageTableDataContributor)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Payloads, templates and dead letters (shared/adapters/blob_container.py) would do with Blob Data Contributor.
// The host asks for Owner on its own storage, for the leases of its timers and its keys, and its package is there.
resource blobRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, identityPrincipalId, roleIds.storageBlobDataOwner)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataOwner)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Grants are written with each new token and removed when a person takes one back (shared/adapters/key_vault.py);
// Secrets User could only read.
resource vaultRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identityPrincipalId, roleIds.keyVaultSecretsOfficer)
  scope: vault
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.keyVaultSecretsOfficer)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Application Insights takes telemetry from this role alone, its local authentication being off.
resource telemetryRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(applicationInsights.id, identityPrincipalId, roleIds.monitoringMetricsPublisher)
  scope: applicationInsights
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.monitoringMetricsPublisher)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// An app that drops mail adds messages to the one queue, and reads none.
resource appQueueRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for app in mailApps: {
    name: guid(outbox.id, app, roleIds.storageQueueDataMessageSender)
    scope: outbox
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageQueueDataMessageSender)
      principalId: app
      principalType: 'ServicePrincipal'
    }
  }
]

// What is too large for the queue goes into the one container; no role of Azure writes blobs without reading them.
resource appBlobRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for app in mailApps: {
    name: guid(payloads.id, app, roleIds.storageBlobDataContributor)
    scope: payloads
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataContributor)
      principalId: app
      principalType: 'ServicePrincipal'
    }
  }
]
