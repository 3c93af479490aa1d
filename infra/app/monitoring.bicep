// Logs and metrics, and the workbook on them. Nothing is sent to them without an identity.

@description('Name of the Log Analytics workspace.')
param workspaceName string
@description('Name of Application Insights.')
param applicationInsightsName string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Days that logs are kept.')
param retentionDays int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    // The connection string says where to send; who may send is the identity's role.
    DisableLocalAuth: true
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // A workbook's name is a GUID: the same one each time.
  name: guid(resourceGroup().id, 'sendoff-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Sendoff'
    description: 'Mail, senders and tokens'
    category: 'workbook'
    sourceId: applicationInsights.id
    serializedData: loadTextContent('../workbook.json')
    version: 'Notebook/1.0'
  }
}

output applicationInsightsName string = applicationInsights.name
output applicationInsightsId string = applicationInsights.id
output connectionString string = applicationInsights.properties.ConnectionString
